-- The second lock behind the one the operations take: it holds the organisation until the end of the transaction, so that of
-- two transactions that each take one of the last two owners away, the second sees what the first has done.
CREATE OR REPLACE FUNCTION keyward_require_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM orgs WHERE id = OLD.org_id FOR NO KEY UPDATE;
    IF FOUND AND NOT EXISTS (SELECT FROM memberships WHERE org_id = OLD.org_id AND role = 'owner') THEN
        RAISE EXCEPTION 'organisation % would have no owner', OLD.org_id
            USING ERRCODE = 'KW001', CONSTRAINT = 'memberships_owner';
    END IF;
    RETURN NULL;
END $$;
