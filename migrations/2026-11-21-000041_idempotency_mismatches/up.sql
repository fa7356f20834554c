ALTER TABLE idempotency_keys ADD COLUMN mismatches smallint NOT NULL DEFAULT 0;
COMMENT ON COLUMN idempotency_keys.mismatches IS 'How many other requests came under the same key: after a few the answer is repeated only behind all checks, so that no password can be guessed by it';
