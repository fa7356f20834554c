CREATE TABLE images (
    id         uuid        PRIMARY KEY,
    content    bytea       NOT NULL,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE images IS
    'Avatars of users and logos of organisations. A row is never updated: a new picture is a new row, so that its URL '
    'can be cached without expiry.';
COMMENT ON COLUMN images.content IS 'WebP, 256 by 256 pixels, re-encoded by the service, without metadata.';
