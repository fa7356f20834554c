ALTER TABLE registrations ADD COLUMN user_id uuid REFERENCES users ON DELETE CASCADE;
COMMENT ON COLUMN registrations.user_id IS
    'The account that an operator created together with this registration. Only the link of this registration keeps the '
    'role of the account. Null: registered through the API.';
CREATE INDEX registrations_user ON registrations (user_id) WHERE user_id IS NOT NULL;
COMMENT ON COLUMN registrations.password_hash IS
    'Argon2id hash as a PHC string. Its salt is derived from the address, so that one hash of a password can be compared '
    'with all registrations of the address. The account gets a hash with a random salt.';
COMMENT ON COLUMN registrations.expires_at IS 'A day after the link was last mailed.';
COMMENT ON TABLE registrations IS
    'Registrations whose mailbox is not verified yet. An address can have several; each keeps its own password. The link '
    'of a registration makes its password that of the account, if the request repeats it, or a new one. Verifying one '
    'deletes all of its address. A registration of an address that already has a verified account is stored too, so that '
    'a login with it gets the same response, but its link is never mailed.';
COMMENT ON COLUMN password_attempts.throttle_key IS
    'HMAC of the user id or, for a login without a verified account, of that login. No foreign key, so that logins '
    'without an account are throttled in the same way.';
