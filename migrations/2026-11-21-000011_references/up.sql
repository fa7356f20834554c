-- What is emptied when an organisation or a person goes must be found without reading whole tables.
CREATE INDEX users_last_org ON users (last_org_id) WHERE last_org_id IS NOT NULL;
CREATE INDEX sessions_org ON sessions (org_id) WHERE org_id IS NOT NULL;
CREATE INDEX invitations_invited_by ON invitations (invited_by) WHERE invited_by IS NOT NULL;
CREATE INDEX invitations_accepted_by ON invitations (accepted_by) WHERE accepted_by IS NOT NULL;
CREATE INDEX join_requests_decided_by ON join_requests (decided_by) WHERE decided_by IS NOT NULL;
