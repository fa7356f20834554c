ALTER TABLE registrations DROP COLUMN user_id;
COMMENT ON COLUMN registrations.expires_at IS NULL;
COMMENT ON COLUMN registrations.password_hash IS 'Argon2id hash as a PHC string.';
COMMENT ON TABLE registrations IS
    'Registrations whose mailbox is not verified yet. An address can have several; each keeps its own password, which '
    'the account gets only through the link of that registration. Verifying one deletes all of its address. A '
    'registration of an address that already has a verified account is stored too, so that a login with it gets the '
    'same response, but its link is never mailed.';
COMMENT ON COLUMN password_attempts.throttle_key IS
    'HMAC of the user id or, for a login without an account, of that login. No foreign key, so that logins without an '
    'account are throttled in the same way.';
