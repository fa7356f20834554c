ALTER TABLE users DROP CONSTRAINT users_last_org_id_fkey;
DROP INDEX users_last_org;
DROP TABLE join_requests, invitations, memberships, orgs;
DROP FUNCTION keyward_require_owner;
