-- The whole of Keyward's state. Three rules hold throughout:
--   * a secret is stored as its SHA-256 only; mailed tokens and refresh tokens are derived from their row's id under the
--     server's secret file, so that nothing in a dump opens a door;
--   * a state is a nullable instant (`…_at`), and the database refuses combinations that mean nothing;
--   * expiry is decided at use, by comparing `expires_at` with the clock, never by a sweeper.

CREATE TABLE images (
    id         uuid        PRIMARY KEY,
    content    bytea       NOT NULL,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE images IS 'Avatars and logos: re-encoded WebP, immutable, replaced by a new row';

CREATE TABLE users (
    id                  uuid        PRIMARY KEY,
    email               text        NOT NULL UNIQUE CHECK (email = lower(email) AND length(email) <= 254),
    email_verified_at   timestamptz,
    password_hash       text,
    password_changed_at timestamptz,
    username            text        UNIQUE CHECK (username ~ '^[a-z][a-z0-9_.-]{2,29}$'),
    nickname            text        CHECK (length(nickname) BETWEEN 1 AND 64),
    role                text        NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
    locale              text        NOT NULL DEFAULT 'en',
    time_zone           text        NOT NULL DEFAULT 'UTC',
    avatar_id           uuid        REFERENCES images ON DELETE SET NULL,
    last_org_id         uuid,
    version             bigint      NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    last_login_at       timestamptz,
    disabled_at         timestamptz,
    CHECK (email_verified_at IS NULL OR email IS NOT NULL)
);
COMMENT ON COLUMN users.email IS 'Canonical: lower case, IDNA domain in its ASCII form';
COMMENT ON COLUMN users.password_hash IS 'Argon2id PHC string; null until a registration is verified, and after an e-mail change was reverted';
COMMENT ON COLUMN users.last_org_id IS 'Where the next login starts; only a hint, checked against memberships at use';
COMMENT ON COLUMN users.version IS 'ETag of the profile: raised by a change of it and by nothing else';
CREATE INDEX users_created ON users (created_at DESC, id DESC);

CREATE TABLE released_usernames (
    username    text        PRIMARY KEY,
    user_id     uuid        REFERENCES users ON DELETE SET NULL,
    released_at timestamptz NOT NULL
);
COMMENT ON TABLE released_usernames IS 'A name somebody gave up stays reserved for 30 days; user_id may take it back';

CREATE TABLE registrations (
    id            uuid        PRIMARY KEY,
    email         text        NOT NULL CHECK (email = lower(email)),
    password_hash text        NOT NULL,
    nickname      text,
    locale        text        NOT NULL,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL
);
COMMENT ON TABLE registrations IS
    'A sign-up awaiting proof of its mailbox. Each stands for itself: its own password becomes valid only through its own link. One for an address that has an account already is kept alike, so that logging in with it answers alike, but its link is never mailed';
CREATE INDEX registrations_email ON registrations (email, created_at DESC);

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
ALTER TABLE users ADD FOREIGN KEY (last_org_id) REFERENCES orgs ON DELETE SET NULL;

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
COMMENT ON COLUMN memberships.id IS 'One stay in an organisation: who leaves and comes back has a new one, so that what hung on the old one stays dead';
CREATE INDEX memberships_user ON memberships (user_id, joined_at DESC);
CREATE INDEX memberships_org ON memberships (org_id, joined_at DESC, user_id DESC);

CREATE FUNCTION keyward_require_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM orgs WHERE id = OLD.org_id)
       AND NOT EXISTS (SELECT FROM memberships WHERE org_id = OLD.org_id AND role = 'owner') THEN
        RAISE EXCEPTION 'organisation % would have no owner', OLD.org_id USING ERRCODE = 'KW001';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION keyward_require_owner IS
    'The second lock behind the one the operations take on the orgs row: no transaction may leave an organisation without owner';
CREATE CONSTRAINT TRIGGER memberships_owner AFTER UPDATE OF role OR DELETE ON memberships
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.role = 'owner') EXECUTE FUNCTION keyward_require_owner();

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
COMMENT ON COLUMN invitations.revoked_at IS 'Also set on an expired one when a newer one takes its place';
CREATE UNIQUE INDEX invitations_pending ON invitations (org_id, email)
    WHERE accepted_at IS NULL AND declined_at IS NULL AND revoked_at IS NULL;
CREATE INDEX invitations_email ON invitations (email, created_at DESC);
CREATE INDEX invitations_org ON invitations (org_id, created_at DESC, id DESC);

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
CREATE UNIQUE INDEX join_requests_pending ON join_requests (org_id, user_id)
    WHERE approved_at IS NULL AND rejected_at IS NULL AND withdrawn_at IS NULL;
CREATE INDEX join_requests_org ON join_requests (org_id, created_at DESC, id DESC);
CREATE INDEX join_requests_user ON join_requests (user_id, created_at DESC);

CREATE TABLE sessions (
    id                uuid        PRIMARY KEY,
    user_id           uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    org_id            uuid        REFERENCES orgs ON DELETE SET NULL,
    user_agent        text,
    ip                inet        NOT NULL,
    created_at        timestamptz NOT NULL,
    authenticated_at  timestamptz NOT NULL,
    last_used_at      timestamptz NOT NULL,
    expires_at        timestamptz NOT NULL,
    ended_at          timestamptz,
    end_reason        text,
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
);
COMMENT ON COLUMN sessions.authenticated_at IS 'When the password was last shown: the auth_time of access tokens, and what freshness is measured by';
COMMENT ON COLUMN sessions.expires_at IS 'The absolute end, 90 days after the login; 30 days without a refresh end it earlier';
COMMENT ON COLUMN sessions.org_id IS 'Where the next refresh starts; an access token in hand keeps its own org_id';
CREATE INDEX sessions_user ON sessions (user_id, created_at DESC);

CREATE TABLE refresh_tokens (
    id           uuid        PRIMARY KEY,
    session_id   uuid        NOT NULL REFERENCES sessions ON DELETE CASCADE,
    token_hash   bytea       NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    created_at   timestamptz NOT NULL,
    used_at      timestamptz,
    successor_id uuid        UNIQUE REFERENCES refresh_tokens DEFERRABLE INITIALLY DEFERRED,
    CHECK ((used_at IS NULL) = (successor_id IS NULL))
);
COMMENT ON TABLE refresh_tokens IS 'A chain per session; the token is derived from the row id under the secret file, so a retry can be given the same successor';
CREATE UNIQUE INDEX refresh_tokens_live ON refresh_tokens (session_id) WHERE used_at IS NULL;

CREATE TABLE password_attempts (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account    bytea       NOT NULL,
    ip         inet        NOT NULL,
    attempted_at timestamptz NOT NULL
);
COMMENT ON TABLE password_attempts IS
    'The one throttle of every path that checks a password: a row is written before the check and removed by a success';
COMMENT ON COLUMN password_attempts.account IS 'Keyed MAC of the user id, or of the canonical login where there is no such user';
CREATE INDEX password_attempts_account ON password_attempts (account, attempted_at);

CREATE TABLE email_changes (
    id                uuid        PRIMARY KEY,
    user_id           uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    old_email         text        NOT NULL,
    new_email         text        NOT NULL CHECK (new_email = lower(new_email)),
    requested_at      timestamptz NOT NULL,
    expires_at        timestamptz NOT NULL,
    confirmed_at      timestamptz,
    cancelled_at      timestamptz,
    reverted_at       timestamptz,
    revert_expires_at timestamptz,
    CHECK (num_nonnulls(confirmed_at, cancelled_at) <= 1),
    CHECK (reverted_at IS NULL OR confirmed_at IS NOT NULL),
    CHECK ((confirmed_at IS NULL) = (revert_expires_at IS NULL))
);
COMMENT ON COLUMN email_changes.revert_expires_at IS 'Until then the old address stays reserved for its owner and its link restores it';
CREATE UNIQUE INDEX email_changes_pending ON email_changes (user_id) WHERE confirmed_at IS NULL AND cancelled_at IS NULL;
CREATE INDEX email_changes_old ON email_changes (old_email) WHERE confirmed_at IS NOT NULL AND reverted_at IS NULL;

CREATE TABLE one_time_tokens (
    id              uuid        PRIMARY KEY,
    purpose         text        NOT NULL,
    token_hash      bytea       NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    registration_id uuid        REFERENCES registrations ON DELETE CASCADE,
    user_id         uuid        REFERENCES users ON DELETE CASCADE,
    email_change_id uuid        REFERENCES email_changes ON DELETE CASCADE,
    invitation_id   uuid        REFERENCES invitations ON DELETE CASCADE,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    used_at         timestamptz,
    voided_at       timestamptz,
    CHECK (CASE purpose
        WHEN 'verify_email'   THEN registration_id IS NOT NULL
        WHEN 'reset_password' THEN user_id IS NOT NULL
        WHEN 'confirm_email'  THEN email_change_id IS NOT NULL
        WHEN 'revert_email'   THEN email_change_id IS NOT NULL
        WHEN 'invitation'     THEN invitation_id IS NOT NULL
        ELSE false END),
    CHECK (num_nonnulls(registration_id, user_id, email_change_id, invitation_id) = 1),
    CHECK (used_at IS NULL OR voided_at IS NULL)
);
COMMENT ON TABLE one_time_tokens IS 'Mailed links. The token is derived from purpose and id under the secret file, so the outbox need not hold it';
CREATE INDEX one_time_tokens_registration ON one_time_tokens (registration_id) WHERE registration_id IS NOT NULL;
CREATE INDEX one_time_tokens_user ON one_time_tokens (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX one_time_tokens_email_change ON one_time_tokens (email_change_id) WHERE email_change_id IS NOT NULL;
CREATE INDEX one_time_tokens_invitation ON one_time_tokens (invitation_id) WHERE invitation_id IS NOT NULL;

CREATE TABLE api_keys (
    id            uuid        PRIMARY KEY,
    user_id       uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    org_id        uuid        REFERENCES orgs ON DELETE CASCADE,
    membership_id uuid        REFERENCES memberships ON DELETE SET NULL,
    name          text        NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    remark        text        CHECK (length(remark) <= 500),
    hint          text        NOT NULL,
    scopes        text[]      NOT NULL,
    allowed_ips   cidr[]      NOT NULL DEFAULT '{}',
    expires_at    timestamptz,
    disabled_at   timestamptz,
    last_used_at  timestamptz,
    last_used_ip  inet,
    version       bigint      NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    CHECK (membership_id IS NULL OR org_id IS NOT NULL)
);
COMMENT ON COLUMN api_keys.membership_id IS
    'The stay in the organisation under which the key was made. Gone with that stay: a key with org_id and no membership_id is suspended for good';
COMMENT ON COLUMN api_keys.version IS 'ETag of what PATCH can change; use does not raise it';
CREATE INDEX api_keys_user ON api_keys (user_id, created_at DESC, id DESC);
CREATE INDEX api_keys_org ON api_keys (org_id, created_at DESC, id DESC) WHERE org_id IS NOT NULL;
CREATE INDEX api_keys_membership ON api_keys (membership_id) WHERE membership_id IS NOT NULL;
CREATE INDEX api_keys_expiry ON api_keys (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE api_key_secrets (
    secret_hash bytea       PRIMARY KEY CHECK (length(secret_hash) = 32),
    api_key_id  uuid        NOT NULL REFERENCES api_keys ON DELETE CASCADE,
    created_at  timestamptz NOT NULL,
    ends_at     timestamptz
);
COMMENT ON TABLE api_key_secrets IS 'At most two a key: the current one (ends_at null) and, for a grace period, the one before';
CREATE UNIQUE INDEX api_key_secrets_current ON api_key_secrets (api_key_id) WHERE ends_at IS NULL;
CREATE UNIQUE INDEX api_key_secrets_previous ON api_key_secrets (api_key_id) WHERE ends_at IS NOT NULL;

CREATE TABLE api_key_usage (
    api_key_id uuid   NOT NULL REFERENCES api_keys ON DELETE CASCADE,
    date       date   NOT NULL,
    requests   bigint NOT NULL DEFAULT 0 CHECK (requests >= 0),
    denied     bigint NOT NULL DEFAULT 0 CHECK (denied >= 0),
    PRIMARY KEY (api_key_id, date)
);
COMMENT ON COLUMN api_key_usage.denied IS 'Known and refused, for scope, address or state';

CREATE TABLE api_key_reminders (
    api_key_id  uuid        NOT NULL REFERENCES api_keys ON DELETE CASCADE,
    expires_at  timestamptz NOT NULL,
    days_before integer     NOT NULL,
    sent_at     timestamptz NOT NULL,
    PRIMARY KEY (api_key_id, expires_at, days_before)
);
COMMENT ON TABLE api_key_reminders IS 'Which expiry was warned of already; an extension has another expires_at, so it is warned of anew';

CREATE TABLE notifications (
    id              uuid        PRIMARY KEY,
    user_id         uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    type            text        NOT NULL,
    data            jsonb       NOT NULL,
    invitation_id   uuid        REFERENCES invitations ON DELETE CASCADE,
    join_request_id uuid        REFERENCES join_requests ON DELETE CASCADE,
    email_change_id uuid        REFERENCES email_changes ON DELETE CASCADE,
    created_at      timestamptz NOT NULL,
    read_at         timestamptz,
    resolved_at     timestamptz,
    CHECK (num_nonnulls(invitation_id, join_request_id, email_change_id) <= 1)
);
COMMENT ON COLUMN notifications.data IS 'What the text is made of; title and body are rendered in the reader''s language';
COMMENT ON COLUMN notifications.invitation_id IS 'What the notification is about; deciding it resolves every notification about it';
CREATE INDEX notifications_user ON notifications (user_id, created_at DESC, id DESC);
CREATE INDEX notifications_unread ON notifications (user_id) WHERE read_at IS NULL;
CREATE INDEX notifications_invitation ON notifications (invitation_id) WHERE invitation_id IS NOT NULL;
CREATE INDEX notifications_join_request ON notifications (join_request_id) WHERE join_request_id IS NOT NULL;
CREATE INDEX notifications_email_change ON notifications (email_change_id) WHERE email_change_id IS NOT NULL;

CREATE TABLE mail_opt_outs (
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    type    text NOT NULL,
    PRIMARY KEY (user_id, type)
);
COMMENT ON TABLE mail_opt_outs IS 'Notification types this person does not want by mail; absent means wanted';

CREATE TABLE mail_outbox (
    id              uuid        PRIMARY KEY,
    recipient       text        NOT NULL,
    locale          text        NOT NULL,
    message         jsonb       NOT NULL,
    created_at      timestamptz NOT NULL,
    next_attempt_at timestamptz NOT NULL,
    attempts        integer     NOT NULL DEFAULT 0,
    last_error      text,
    sent_at         timestamptz,
    failed_at       timestamptz,
    CHECK (num_nonnulls(sent_at, failed_at) <= 1)
);
COMMENT ON COLUMN mail_outbox.id IS 'Also the left part of the Message-ID, so that a repeated delivery is recognised';
COMMENT ON COLUMN mail_outbox.message IS 'The kind of mail and what its text is made of; a link stands here as the id of its one-time token';
CREATE INDEX mail_outbox_due ON mail_outbox (next_attempt_at) WHERE sent_at IS NULL AND failed_at IS NULL;
CREATE INDEX mail_outbox_recipient ON mail_outbox (recipient, created_at);

CREATE TABLE audit_log (
    id          uuid        PRIMARY KEY,
    at          timestamptz NOT NULL,
    action      text        NOT NULL,
    actor_type  text        NOT NULL CHECK (actor_type IN ('user', 'api_key', 'system', 'anonymous')),
    actor_id    uuid,
    actor_name  text,
    object_type text,
    object_id   uuid,
    object_name text,
    user_id     uuid,
    org_id      uuid,
    result      text        NOT NULL CHECK (result IN ('success', 'failure')),
    ip          inet,
    request_id  text,
    details     jsonb       NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE audit_log IS 'Append-only, without foreign keys: a record outlives what it speaks of';
COMMENT ON COLUMN audit_log.user_id IS 'Whose account the act concerns: what GET /me/activity shows';
CREATE INDEX audit_log_at ON audit_log (at DESC, id DESC);
CREATE INDEX audit_log_org ON audit_log (org_id, at DESC, id DESC) WHERE org_id IS NOT NULL;
CREATE INDEX audit_log_user ON audit_log (user_id, at DESC, id DESC) WHERE user_id IS NOT NULL;

CREATE FUNCTION keyward_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_log is append-only';
END $$;
CREATE TRIGGER audit_log_append_only BEFORE UPDATE ON audit_log FOR EACH ROW EXECUTE FUNCTION keyward_append_only();

CREATE TABLE idempotency_keys (
    user_id     uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    key         text        NOT NULL,
    request_mac bytea       NOT NULL CHECK (length(request_mac) = 32),
    status      smallint    NOT NULL,
    headers     json        NOT NULL,
    body        json,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (user_id, key)
);
COMMENT ON TABLE idempotency_keys IS 'Written in the transaction of the act it remembers, kept for 24 hours; body holds no secret. json, not jsonb: the answer is repeated to the letter';
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);
