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
    open_to_merge   boolean     NOT NULL DEFAULT false,
    merged          integer     NOT NULL DEFAULT 0,
    CHECK (num_nonnulls(sent_at, failed_at) <= 1)
);
COMMENT ON TABLE mail_outbox IS
    'The queue of outgoing mail. A row is inserted in the transaction that causes the mail, so a mail is sent if and '
    'only if that transaction commits. Rows are deleted when they are sent or given up and a day old; until then they '
    'count for the merging of notices and the limit of verification mails.';
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
COMMENT ON COLUMN mail_outbox.open_to_merge IS
    'Whether the mail is held back until next_attempt_at and takes in later notices of the same event to the same '
    'address. False once an instance has taken it.';
COMMENT ON COLUMN mail_outbox.merged IS 'How many earlier notices the mail replaces. It shows the newest.';
CREATE INDEX mail_outbox_due ON mail_outbox (next_attempt_at) WHERE sent_at IS NULL AND failed_at IS NULL;
-- For counting the mails to one address.
CREATE INDEX mail_outbox_recipient ON mail_outbox (recipient, created_at);
CREATE UNIQUE INDEX mail_outbox_open_to_merge ON mail_outbox (recipient, (message ->> 'event')) WHERE open_to_merge;

CREATE TABLE mail_requests (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recipient    text        NOT NULL,
    is_reset     boolean     NOT NULL,
    user_id      uuid,
    org_id       uuid,
    network      cidr,
    is_admitted  boolean     NOT NULL,
    requested_at timestamptz NOT NULL,
    CHECK (num_nonnulls(user_id, network) = 1)
);
COMMENT ON TABLE mail_requests IS
    'Requests that mail an address which need not be that of the person who asks, such as invitations. The limits of '
    'mails count them; rows are deleted after a day.';
COMMENT ON COLUMN mail_requests.recipient IS 'The e-mail address.';
COMMENT ON COLUMN mail_requests.is_reset IS
    'Whether the mail is a password reset. These are counted on their own, so that no other mail can prevent one.';
COMMENT ON COLUMN mail_requests.user_id IS
    'The user who asked. No foreign key, so that a limit outlasts the account. Null: an anonymous client.';
COMMENT ON COLUMN mail_requests.org_id IS 'The organisation that the user acted for. No foreign key, as for user_id.';
COMMENT ON COLUMN mail_requests.network IS
    'The network of an anonymous client: an IPv4 address, or the /64 of an IPv6 address. Null: a user asked.';
COMMENT ON COLUMN mail_requests.is_admitted IS
    'False: the limits of the address do not count the row, because the mail was dropped or has other limits. The '
    'limits of the user, the organisation and the network do.';
CREATE INDEX mail_requests_recipient ON mail_requests (recipient, requested_at);
CREATE INDEX mail_requests_user ON mail_requests (user_id, requested_at) WHERE user_id IS NOT NULL;
CREATE INDEX mail_requests_network ON mail_requests (network, requested_at) WHERE network IS NOT NULL;
CREATE INDEX mail_requests_org ON mail_requests (org_id, requested_at) WHERE org_id IS NOT NULL;
-- The deletion of old rows.
CREATE INDEX mail_requests_requested_at ON mail_requests (requested_at);
