-- Rules that hold in every table:
--   * A secret is stored as its SHA-256 hash only. The tokens in mailed links and the refresh tokens are derived from
--     ids under the key in KEYWARD_SECRET_FILE, so a dump of the database contains no usable credential.
--   * A state is a nullable timestamp (`…_at`): null means that it has not happened. CHECK constraints refuse
--     combinations without a meaning.
--   * Expiry is decided at use, by comparing `expires_at` with the clock. Deleting expired rows only saves space.
--   * Timestamps have no default: the service passes one time for everything that a request writes.
--   * An enumeration is text with a CHECK, because a value cannot be removed from an enum type. Where nothing depends
--     on the set (notification types, audit actions, reasons), there is no CHECK, so that a new value needs no
--     migration.
--   * Each foreign key has an index on its referencing column, because PostgreSQL makes none and would scan the whole
--     table at each deletion of a referenced row.
--
-- This migration has the functions that several areas use.

CREATE FUNCTION keyward_uuid_v7(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
        || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid
$$;
COMMENT ON FUNCTION keyward_uuid_v7 IS
    'A UUID version 7 (RFC 9562 section 5.7) for the given time, like the ids the service generates. For statements '
    'that insert many rows at once, such as an announcement to all users.';

CREATE FUNCTION keyward_rfc3339(value timestamptz) RETURNS text LANGUAGE sql STABLE
    RETURN to_char(value AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
COMMENT ON FUNCTION keyward_rfc3339 IS
    'A timestamp in the format of the API: RFC 3339, UTC, milliseconds, suffix Z. Null for null.';
