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
COMMENT ON TABLE email_changes IS
    'Requested changes of an account''s e-mail address. users.email keeps the old address until the change is '
    'confirmed by the link mailed to the new one.';
COMMENT ON COLUMN email_changes.old_email IS 'users.email at the request.';
COMMENT ON COLUMN email_changes.new_email IS 'In the form of users.email.';
COMMENT ON COLUMN email_changes.expires_at IS
    'Until when the change can be confirmed. Mailing the link again moves it.';
COMMENT ON COLUMN email_changes.confirmed_at IS 'When the new address was verified and became users.email.';
COMMENT ON COLUMN email_changes.cancelled_at IS
    'When the change was stopped before its confirmation: by the user, by the link mailed to the old address, by a '
    'newer change or by a change of the password.';
COMMENT ON COLUMN email_changes.reverted_at IS
    'When the link mailed to the old address undid a confirmed change, this one or an earlier one.';
COMMENT ON COLUMN email_changes.revert_expires_at IS
    'Until when a confirmed change can be reverted. Until then no other account can take the old address. Null: not '
    'confirmed.';
CREATE UNIQUE INDEX email_changes_pending ON email_changes (user_id)
    WHERE confirmed_at IS NULL AND cancelled_at IS NULL;
CREATE INDEX email_changes_user ON email_changes (user_id);
CREATE INDEX email_changes_revertible ON email_changes (old_email)
    WHERE confirmed_at IS NOT NULL AND reverted_at IS NULL;
