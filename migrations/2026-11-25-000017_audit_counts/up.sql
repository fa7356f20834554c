CREATE TABLE audit_counts (
    action     text        NOT NULL,
    account    uuid        NOT NULL,
    network    cidr        NOT NULL,
    result     text        NOT NULL,
    count      bigint      NOT NULL,
    first_at   timestamptz NOT NULL,
    last_at    timestamptz NOT NULL,
    ip         inet        NOT NULL,
    request_id text        NOT NULL,
    PRIMARY KEY (action, account, network)
);
COMMENT ON TABLE audit_counts IS
    'Actions that callers can repeat without limit, such as failed logins. They are counted here, because a record for '
    'each would let strangers fill the audit log. After ten minutes without another one, and after an hour in any case, a '
    'row becomes one record of audit_log with its count, and is deleted.';
COMMENT ON COLUMN audit_counts.account IS
    'The account concerned; the nil UUID if there is none. No foreign key, because the record outlives the account.';
COMMENT ON COLUMN audit_counts.network IS
    'The network from which the actions came: the /24 of an IPv4 address, or the /48 of an IPv6 address.';
COMMENT ON COLUMN audit_counts.result IS 'As in audit_log.';
COMMENT ON COLUMN audit_counts.ip IS 'The client address of the last action.';
COMMENT ON COLUMN audit_counts.request_id IS 'The X-Request-Id of the last action.';
