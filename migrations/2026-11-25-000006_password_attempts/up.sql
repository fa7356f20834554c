CREATE TABLE password_attempts (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    throttle_key bytea       NOT NULL,
    ip           inet        NOT NULL,
    attempted_at timestamptz NOT NULL
);
COMMENT ON TABLE password_attempts IS
    'Attempts to authenticate with a password, on every path that checks one. A row is inserted before the check, so '
    'that parallel attempts count, and a correct password deletes the rows of its account and client address. The '
    'remaining rows are the failed attempts that the throttle counts.';
COMMENT ON COLUMN password_attempts.throttle_key IS
    'HMAC of the user id or, for a login without an account, of that login. No foreign key, so that logins without an '
    'account are throttled in the same way.';
COMMENT ON COLUMN password_attempts.ip IS 'The client address.';
CREATE INDEX password_attempts_throttle_key ON password_attempts (throttle_key, attempted_at);
