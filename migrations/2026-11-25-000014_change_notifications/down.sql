-- CASCADE drops the triggers that call the function.
DROP FUNCTION keyward_notify_change CASCADE;
