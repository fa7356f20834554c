CREATE FUNCTION keyward_instant(instant timestamptz) RETURNS text LANGUAGE sql STABLE
    RETURN to_char(instant AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
COMMENT ON FUNCTION keyward_instant IS 'An instant as the API writes it: RFC 3339, UTC, Z, milliseconds';
