CREATE TABLE password_attempts (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    throttle_key bytea       NOT NULL,
    network      cidr        NOT NULL,
    attempted_at timestamptz NOT NULL
);
COMMENT ON TABLE password_attempts IS
    'Attempts to authenticate with a password, on every path that checks one. A row is inserted before the check, so '
    'that parallel attempts count, and a correct password deletes the rows of its account and network. The remaining '
    'rows are the failed attempts that the throttle counts.';
COMMENT ON COLUMN password_attempts.throttle_key IS
    'HMAC of the user id or, for a login without an account, of that login. No foreign key, so that logins without an '
    'account are throttled in the same way.';
COMMENT ON COLUMN password_attempts.network IS
    'The network of the client: an IPv4 address, or the /64 of an IPv6 address.';
-- Attempts on an account, from one network and from all.
CREATE INDEX password_attempts_throttle_key ON password_attempts (throttle_key, network, attempted_at);
-- Attempts from a network, on all accounts.
CREATE INDEX password_attempts_network ON password_attempts (network, attempted_at);
-- The deletion of old attempts.
CREATE INDEX password_attempts_attempted_at ON password_attempts (attempted_at);
