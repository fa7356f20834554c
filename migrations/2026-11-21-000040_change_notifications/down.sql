DROP FUNCTION keyward_tell_change CASCADE;
