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
COMMENT ON TABLE mail_outbox IS
    'The queue of outgoing mail. A row is inserted in the transaction that causes the mail, so a mail is sent if and '
    'only if that transaction commits. Rows are deleted when they are sent or given up and a day old; until then the '
    'limit of mails to one address counts them.';
COMMENT ON COLUMN mail_outbox.id IS
    'Also the left part of the Message-ID header, by which mail servers recognise a mail that is delivered twice.';
COMMENT ON COLUMN mail_outbox.recipient IS 'The e-mail address.';
COMMENT ON COLUMN mail_outbox.locale IS 'BCP 47 tag of the language of the mail.';
COMMENT ON COLUMN mail_outbox.message IS
    'The kind of mail and the values that its text needs. A link is stored as the id of its row in one_time_tokens, '
    'never as a token.';
COMMENT ON COLUMN mail_outbox.next_attempt_at IS
    'When the mail is due. An instance that takes the mail to deliver it moves this to the end of its lease, so that '
    'other instances do not take it too.';
COMMENT ON COLUMN mail_outbox.attempts IS
    'How often an instance has taken the mail. An instance writes its result only if this is unchanged since it took '
    'it.';
COMMENT ON COLUMN mail_outbox.last_error IS 'Why the last failed attempt failed. Null: none failed.';
COMMENT ON COLUMN mail_outbox.failed_at IS 'When the mail was given up. Null: sent, or still due.';
CREATE INDEX mail_outbox_due ON mail_outbox (next_attempt_at) WHERE sent_at IS NULL AND failed_at IS NULL;
-- For the limit of mails to one address.
CREATE INDEX mail_outbox_recipient ON mail_outbox (recipient, created_at);
