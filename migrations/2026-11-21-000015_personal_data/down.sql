DROP FUNCTION keyward_instant;
