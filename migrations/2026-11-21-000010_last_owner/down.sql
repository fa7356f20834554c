CREATE OR REPLACE FUNCTION keyward_require_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM orgs WHERE id = OLD.org_id)
       AND NOT EXISTS (SELECT FROM memberships WHERE org_id = OLD.org_id AND role = 'owner') THEN
        RAISE EXCEPTION 'organisation % would have no owner', OLD.org_id USING ERRCODE = 'KW001';
    END IF;
    RETURN NULL;
END $$;
