CREATE TABLE sessions (
    id                 uuid        PRIMARY KEY,
    user_id            uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    org_id             uuid        REFERENCES orgs ON DELETE SET NULL,
    user_agent         text,
    device             text        NOT NULL,
    ip                 inet        NOT NULL,
    created_at         timestamptz NOT NULL,
    authenticated_at   timestamptz NOT NULL,
    last_used_at       timestamptz NOT NULL,
    expires_at         timestamptz NOT NULL,
    ended_at           timestamptz,
    end_reason         text,
    refresh_generation integer     NOT NULL DEFAULT 0,
    refreshed_at       timestamptz,
    CHECK ((ended_at IS NULL) = (end_reason IS NULL)),
    CHECK ((refresh_generation = 0) = (refreshed_at IS NULL))
);
COMMENT ON TABLE sessions IS
    'Logins. A session is valid while ended_at is null, expires_at is in the future and last_used_at is less than 30 '
    'days ago.';
COMMENT ON COLUMN sessions.org_id IS
    'The organisation for which the next refresh issues an access token. Access tokens that were issued before keep '
    'theirs. Null: no organisation.';
COMMENT ON COLUMN sessions.user_agent IS 'The User-Agent header of the login. Null: none was sent.';
COMMENT ON COLUMN sessions.device IS
    'Browser and system that user_agent names, without versions. A login from another device is reported.';
COMMENT ON COLUMN sessions.ip IS 'The client address of the login.';
COMMENT ON COLUMN sessions.authenticated_at IS
    'When the user last authenticated with the password in this session. It is the auth_time of access tokens; '
    'operations that need a recent authentication compare it with the clock.';
COMMENT ON COLUMN sessions.last_used_at IS 'When the session was created or last refreshed.';
COMMENT ON COLUMN sessions.expires_at IS '90 days after the login; a refresh does not move it.';
COMMENT ON COLUMN sessions.ended_at IS 'When the session was revoked. A session that expires keeps null.';
COMMENT ON COLUMN sessions.end_reason IS
    'Why the session was revoked; only shown in the data export. Null while ended_at is null.';
COMMENT ON COLUMN sessions.refresh_generation IS
    'The place of the current refresh token in the chain of the session: 0 for that of the login; a refresh adds 1. The '
    'token is derived from the session and this number under the key in KEYWARD_SECRET_FILE, so no token is stored.';
COMMENT ON COLUMN sessions.refreshed_at IS
    'When the previous refresh token was exchanged for the current one. A repeated refresh does not move it. Null: never '
    'refreshed.';
CREATE INDEX sessions_user ON sessions (user_id, created_at DESC);
CREATE INDEX sessions_org ON sessions (org_id) WHERE org_id IS NOT NULL;
