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
    invalidated_at  timestamptz,
    CHECK (CASE purpose
        WHEN 'verify_email'   THEN registration_id IS NOT NULL
        WHEN 'reset_password' THEN user_id IS NOT NULL
        WHEN 'confirm_email'  THEN email_change_id IS NOT NULL
        WHEN 'revert_email'   THEN email_change_id IS NOT NULL
        WHEN 'invitation'     THEN invitation_id IS NOT NULL
        ELSE false END),
    CHECK (num_nonnulls(registration_id, user_id, email_change_id, invitation_id) = 1),
    CHECK (used_at IS NULL OR invalidated_at IS NULL)
);
COMMENT ON TABLE one_time_tokens IS
    'Tokens of mailed links. A token is derived from the purpose and the id of its row under the key in '
    'KEYWARD_SECRET_FILE, so it need not be stored until its mail is sent. Rows are deleted 30 days after they '
    'expire.';
COMMENT ON COLUMN one_time_tokens.purpose IS
    'What the link does. It decides which of the four references is set: the object that the link acts on.';
COMMENT ON COLUMN one_time_tokens.token_hash IS 'SHA-256 of the token.';
COMMENT ON COLUMN one_time_tokens.registration_id IS 'The registration that the link verifies.';
COMMENT ON COLUMN one_time_tokens.user_id IS 'The account whose password the link resets.';
COMMENT ON COLUMN one_time_tokens.email_change_id IS 'The change of address that the link confirms or reverts.';
COMMENT ON COLUMN one_time_tokens.invitation_id IS 'The invitation that the link accepts.';
COMMENT ON COLUMN one_time_tokens.invalidated_at IS
    'When an unused link stopped working before its expiry: a newer link replaced it, or its object was decided '
    'otherwise.';
CREATE INDEX one_time_tokens_registration ON one_time_tokens (registration_id) WHERE registration_id IS NOT NULL;
CREATE INDEX one_time_tokens_user ON one_time_tokens (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX one_time_tokens_email_change ON one_time_tokens (email_change_id) WHERE email_change_id IS NOT NULL;
CREATE INDEX one_time_tokens_invitation ON one_time_tokens (invitation_id) WHERE invitation_id IS NOT NULL;
