CREATE TABLE deployment (
    id                 boolean     PRIMARY KEY DEFAULT true CHECK (id),
    secret_fingerprint text        NOT NULL,
    signing_key_id     text        NOT NULL,
    updated_at         timestamptz NOT NULL
);
COMMENT ON TABLE deployment IS
    'The keys of the instance that served this database last: one row. Another instance, or a command, that has other keys '
    'is warned at its start.';
COMMENT ON COLUMN deployment.secret_fingerprint IS 'A MAC under the server secret; it tells nothing about the secret.';
COMMENT ON COLUMN deployment.signing_key_id IS 'The kid of the key that signs access tokens.';
