DROP TABLE audit_log;
DROP FUNCTION keyward_append_only;
