CREATE TABLE orgs (
    id          uuid        PRIMARY KEY,
    name        text        NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    slug        text        NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9](-?[a-z0-9])*$' AND length(slug) BETWEEN 2 AND 50),
    description text        CHECK (length(description) <= 500),
    logo_id     uuid        REFERENCES images ON DELETE SET NULL,
    join_policy text        NOT NULL CHECK (join_policy IN ('invite_only', 'request')),
    version     bigint      NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL
);
COMMENT ON TABLE orgs IS 'Organisations. Each has at least one owner; the trigger memberships_owner enforces it.';
COMMENT ON COLUMN orgs.slug IS 'Short unique name. Users who want to send a join request find the organisation by it.';
COMMENT ON COLUMN orgs.logo_id IS 'Null: no logo.';
COMMENT ON COLUMN orgs.join_policy IS
    'How users become members. invite_only: by invitation. request: by invitation, or by a join request that an '
    'admin of the organisation approves.';
COMMENT ON COLUMN orgs.version IS 'ETag of the organisation. Each change of its settings or logo increments it.';
CREATE INDEX orgs_logo ON orgs (logo_id) WHERE logo_id IS NOT NULL;

ALTER TABLE users ADD FOREIGN KEY (last_org_id) REFERENCES orgs ON DELETE SET NULL;
CREATE INDEX users_last_org ON users (last_org_id) WHERE last_org_id IS NOT NULL;

CREATE TABLE memberships (
    id                uuid        PRIMARY KEY,
    org_id            uuid        NOT NULL REFERENCES orgs ON DELETE CASCADE,
    user_id           uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    role              text        NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
    disabled_services text[]      NOT NULL DEFAULT '{}',
    version           bigint      NOT NULL DEFAULT 1,
    joined_at         timestamptz NOT NULL,
    UNIQUE (org_id, user_id)
);
COMMENT ON TABLE memberships IS 'Which user is a member of which organisation. Leaving deletes the row.';
COMMENT ON COLUMN memberships.id IS
    'A user who leaves and joins again gets a new row with a new id, so that API keys created under the earlier '
    'membership stay suspended.';
COMMENT ON COLUMN memberships.role IS 'A higher role may do all that a lower one may: owner, then admin, then member.';
COMMENT ON COLUMN memberships.disabled_services IS
    'Services of the scope catalog that the sessions and API keys of this member may not use in this organisation. '
    'Set by its owners and admins.';
COMMENT ON COLUMN memberships.version IS 'ETag of the member. A change of role or services increments it.';
CREATE INDEX memberships_user ON memberships (user_id, joined_at DESC);
CREATE INDEX memberships_org ON memberships (org_id, joined_at DESC, user_id DESC);

CREATE FUNCTION keyward_require_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The lock lasts until the end of the transaction. Of two transactions that each remove one of the last two owners,
    -- the second waits here and then sees that the first has removed the other owner.
    PERFORM FROM orgs WHERE id = OLD.org_id FOR NO KEY UPDATE;
    IF FOUND AND NOT EXISTS (SELECT FROM memberships WHERE org_id = OLD.org_id AND role = 'owner') THEN
        RAISE EXCEPTION 'organisation % would have no owner', OLD.org_id
            USING ERRCODE = 'KW001', CONSTRAINT = 'memberships_owner';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION keyward_require_owner IS
    'Fails with SQLSTATE KW001 when the organisation still exists and has no owner left. The second safeguard: the service '
    'locks the organisation and its owners, and requires an owner whose account is not disabled; this check counts '
    'disabled owners too, because disabling an account must always be possible, but holds even for a statement that '
    'forgets the locks.';
-- Deferred to the commit, so that a transfer can demote the previous owner before it promotes the new one.
CREATE CONSTRAINT TRIGGER memberships_owner AFTER UPDATE OF role OR DELETE ON memberships
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.role = 'owner') EXECUTE FUNCTION keyward_require_owner();
COMMENT ON TRIGGER memberships_owner ON memberships IS
    'Checks, at the commit, that an organisation which lost an owner has another one.';

CREATE TABLE invitations (
    id          uuid        PRIMARY KEY,
    org_id      uuid        NOT NULL REFERENCES orgs ON DELETE CASCADE,
    email       text        NOT NULL CHECK (email = lower(email)),
    role        text        NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
    invited_by  uuid        REFERENCES users ON DELETE SET NULL,
    locale      text        NOT NULL DEFAULT 'en',
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    accepted_at timestamptz,
    declined_at timestamptz,
    revoked_at  timestamptz,
    accepted_by uuid        REFERENCES users ON DELETE SET NULL,
    CHECK (num_nonnulls(accepted_at, declined_at, revoked_at) <= 1)
);
COMMENT ON TABLE invitations IS
    'Invitations of an e-mail address into an organisation. Pending while accepted_at, declined_at and revoked_at are '
    'null and expires_at is in the future.';
COMMENT ON COLUMN invitations.email IS 'The invited address, in the form of users.email. It need not have an account.';
COMMENT ON COLUMN invitations.role IS 'The role that the invited user gets.';
COMMENT ON COLUMN invitations.invited_by IS 'The member who sent the invitation. Null: that account was deleted.';
COMMENT ON COLUMN invitations.locale IS 'BCP 47 tag of the language of the mail.';
COMMENT ON COLUMN invitations.expires_at IS 'Mailing the invitation again moves it.';
COMMENT ON COLUMN invitations.revoked_at IS
    'When an admin revoked the invitation, or when its inviter lost the right to give this role. Also set '
    'on an expired invitation when a new one for the same address replaces it.';
COMMENT ON COLUMN invitations.accepted_by IS
    'The account that accepted; with the mailed link that can be one with another address. Null: not accepted, or '
    'that account was deleted.';
CREATE UNIQUE INDEX invitations_pending ON invitations (org_id, email)
    WHERE accepted_at IS NULL AND declined_at IS NULL AND revoked_at IS NULL;
CREATE INDEX invitations_email ON invitations (email, created_at DESC);
CREATE INDEX invitations_org ON invitations (org_id, created_at DESC, id DESC);
CREATE INDEX invitations_invited_by ON invitations (invited_by) WHERE invited_by IS NOT NULL;
CREATE INDEX invitations_accepted_by ON invitations (accepted_by) WHERE accepted_by IS NOT NULL;

CREATE TABLE join_requests (
    id           uuid        PRIMARY KEY,
    org_id       uuid        NOT NULL REFERENCES orgs ON DELETE CASCADE,
    user_id      uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    message      text        CHECK (length(message) <= 500),
    reason       text        CHECK (length(reason) <= 500),
    created_at   timestamptz NOT NULL,
    approved_at  timestamptz,
    rejected_at  timestamptz,
    withdrawn_at timestamptz,
    decided_by   uuid        REFERENCES users ON DELETE SET NULL,
    CHECK (num_nonnulls(approved_at, rejected_at, withdrawn_at) <= 1)
);
COMMENT ON TABLE join_requests IS
    'Requests of users to join an organisation. Pending while approved_at, rejected_at and withdrawn_at are null; '
    'they do not expire.';
COMMENT ON COLUMN join_requests.message IS 'What the user wrote to the organisation. Null: nothing.';
COMMENT ON COLUMN join_requests.reason IS 'What the admin who rejected the request wrote. Null: nothing.';
COMMENT ON COLUMN join_requests.approved_at IS
    'Also set when the user becomes a member in another way, by accepting an invitation.';
COMMENT ON COLUMN join_requests.decided_by IS
    'The admin who approved or rejected; the inviter, when the user became a member by an invitation. Null: '
    'not decided, withdrawn, or that account was deleted.';
CREATE UNIQUE INDEX join_requests_pending ON join_requests (org_id, user_id)
    WHERE approved_at IS NULL AND rejected_at IS NULL AND withdrawn_at IS NULL;
CREATE INDEX join_requests_org ON join_requests (org_id, created_at DESC, id DESC);
CREATE INDEX join_requests_user ON join_requests (user_id, created_at DESC);
CREATE INDEX join_requests_decided_by ON join_requests (decided_by) WHERE decided_by IS NOT NULL;
