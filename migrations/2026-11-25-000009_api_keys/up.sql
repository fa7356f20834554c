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
    granted_at    timestamptz NOT NULL,
    CHECK (membership_id IS NULL OR org_id IS NOT NULL)
);
COMMENT ON TABLE api_keys IS
    'API keys without their secrets. Rotation keeps the row. Revoking a key deletes the row; the audit log keeps its '
    'name.';
COMMENT ON COLUMN api_keys.user_id IS 'The owner, with whose permissions the key acts.';
COMMENT ON COLUMN api_keys.org_id IS 'The organisation in which the key acts. Null: a personal key.';
COMMENT ON COLUMN api_keys.membership_id IS
    'The membership under which the key was created. The end of the membership sets it to null, and a key with org_id '
    'but without membership_id is suspended for good. Null in personal keys.';
COMMENT ON COLUMN api_keys.remark IS 'A note of the owner. Null: none.';
COMMENT ON COLUMN api_keys.hint IS
    'The first characters of the current key, prefix included, by which its owner recognises it.';
COMMENT ON COLUMN api_keys.scopes IS
    'Names from the scope catalog that the owner granted. At each use they are reduced to what the owner may do '
    'then.';
COMMENT ON COLUMN api_keys.allowed_ips IS 'Networks from which the key may be used. Empty: from everywhere.';
COMMENT ON COLUMN api_keys.expires_at IS 'Null: never.';
COMMENT ON COLUMN api_keys.disabled_at IS
    'When the owner switched the key off, or when a reverted e-mail change did. Null: enabled.';
COMMENT ON COLUMN api_keys.last_used_at IS
    'The last successful use. Written in batches, about once a second. Null: never used.';
COMMENT ON COLUMN api_keys.last_used_ip IS
    'The client address of the last successful use. Null: never used, or the caller that verified the key did not '
    'give one.';
COMMENT ON COLUMN api_keys.version IS 'ETag of the fields that PATCH can change. Use and rotation do not increment it.';
COMMENT ON COLUMN api_keys.granted_at IS
    'When the key last got more than it had: created, rotated, enabled, extended after its expiry, or given further '
    'scopes or networks. A reverted e-mail change disables the keys with a later one than its request.';
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
COMMENT ON TABLE api_key_secrets IS
    'The secrets of API keys, at most two per key: the current one and, after a rotation, the previous one for its '
    'grace period.';
COMMENT ON COLUMN api_key_secrets.secret_hash IS 'SHA-256 of the key as the client sends it.';
COMMENT ON COLUMN api_key_secrets.ends_at IS
    'The end of the grace period of the previous secret, set by the rotation that replaced it. Null: the current '
    'secret.';
CREATE UNIQUE INDEX api_key_secrets_current ON api_key_secrets (api_key_id) WHERE ends_at IS NULL;
CREATE UNIQUE INDEX api_key_secrets_previous ON api_key_secrets (api_key_id) WHERE ends_at IS NOT NULL;
-- The foreign key cannot use the two above: its query has no condition on ends_at.
CREATE INDEX api_key_secrets_api_key ON api_key_secrets (api_key_id);

CREATE TABLE api_key_usage (
    api_key_id uuid   NOT NULL REFERENCES api_keys ON DELETE CASCADE,
    date       date   NOT NULL,
    requests   bigint NOT NULL DEFAULT 0 CHECK (requests >= 0),
    denied     bigint NOT NULL DEFAULT 0 CHECK (denied >= 0),
    PRIMARY KEY (api_key_id, date)
);
COMMENT ON TABLE api_key_usage IS
    'Uses of each API key per day. Written in batches, about once a second; kept for 90 days.';
COMMENT ON COLUMN api_key_usage.date IS 'A day in UTC.';
COMMENT ON COLUMN api_key_usage.requests IS 'How often the key was presented, refused requests included.';
COMMENT ON COLUMN api_key_usage.denied IS
    'How many of the requests were refused because of the scopes, the client address or the state of the key.';

CREATE TABLE api_key_reminders (
    api_key_id  uuid        NOT NULL REFERENCES api_keys ON DELETE CASCADE,
    expires_at  timestamptz NOT NULL,
    days_before integer     NOT NULL,
    sent_at     timestamptz NOT NULL,
    PRIMARY KEY (api_key_id, expires_at, days_before)
);
COMMENT ON TABLE api_key_reminders IS
    'Reminders of expiring API keys that need not be sent any more. An extended key has another expires_at, so its '
    'owner is reminded again.';
COMMENT ON COLUMN api_key_reminders.expires_at IS 'api_keys.expires_at at the reminder.';
COMMENT ON COLUMN api_key_reminders.days_before IS 'How many days before the expiry: 30, 7 or 1.';
COMMENT ON COLUMN api_key_reminders.sent_at IS
    'When the reminder was sent, or when the expiry was chosen that made it pointless: a key created for 5 days needs '
    'no reminder 30 days before.';
