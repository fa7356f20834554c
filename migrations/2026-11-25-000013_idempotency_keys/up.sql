CREATE TABLE idempotency_keys (
    user_id     uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    key         text        NOT NULL,
    request_mac bytea       NOT NULL CHECK (length(request_mac) = 32),
    status      smallint    NOT NULL,
    headers     json        NOT NULL,
    body        json,
    created_at  timestamptz NOT NULL,
    mismatches  smallint    NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, key)
);
COMMENT ON TABLE idempotency_keys IS
    'Responses to requests with an Idempotency-Key, kept for 24 hours to be repeated. A row is inserted in the '
    'transaction of its request.';
COMMENT ON COLUMN idempotency_keys.key IS 'The Idempotency-Key header.';
COMMENT ON COLUMN idempotency_keys.request_mac IS
    'HMAC of user, method, path, query and body. Keyed, because the body may contain a password that an unkeyed hash '
    'would let an attacker guess.';
COMMENT ON COLUMN idempotency_keys.status IS 'HTTP status of the response.';
COMMENT ON COLUMN idempotency_keys.headers IS
    'Response headers to repeat. json instead of jsonb keeps them byte for byte.';
COMMENT ON COLUMN idempotency_keys.body IS
    'Response body without its secret. json instead of jsonb keeps it byte for byte. Null: no body.';
COMMENT ON COLUMN idempotency_keys.mismatches IS
    'How many other requests came with this key. From 5 on, the response is repeated only after all checks of the '
    'request, so that a caller cannot find the password in a request by trying which body is recognised.';
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);
