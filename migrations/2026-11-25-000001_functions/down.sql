DROP FUNCTION keyward_rfc3339, keyward_uuid_v7;
