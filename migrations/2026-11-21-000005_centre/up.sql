-- The notification centre's stream, announcements to many, and what keeps lists fast when there are many rows.

CREATE FUNCTION keyward_uuid_v7(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
        || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid
$$;
COMMENT ON FUNCTION keyward_uuid_v7 IS
    'RFC 9562 §5.7, for rows that are made by the thousand in one statement: an id like those the service makes';

CREATE FUNCTION keyward_announce_notifications() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM (SELECT FROM added LIMIT 101) AS few) > 100 THEN
        PERFORM pg_notify('keyward_notifications', '*');
    ELSE
        PERFORM pg_notify('keyward_notifications', user_id || ':' || id) FROM added;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION keyward_announce_notifications IS
    'Tells every instance which notification of whom is new; an asterisk stands for more than can be told one by one';
CREATE TRIGGER notifications_announced AFTER INSERT ON notifications
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION keyward_announce_notifications();

-- Ids sort by when they were made.
DROP INDEX notifications_user;
CREATE INDEX notifications_user ON notifications (user_id, id);

CREATE INDEX audit_log_actor ON audit_log (actor_id, at DESC, id DESC) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_log_action ON audit_log (action, at DESC, id DESC);

CREATE FUNCTION keyward_user_text(email text, username text, nickname text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT lower(email || chr(10) || coalesce(username, '') || chr(10) || coalesce(nickname, ''))
$$;
COMMENT ON FUNCTION keyward_user_text IS 'What administrators search people in; the line breaks keep one field from running into the next';

CREATE FUNCTION keyward_grams(word text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 1000 AS $$
DECLARE
    grams text[] := '{}';
    gram  text;
    wide  boolean := octet_length(word) > length(word);
BEGIN
    FOR place IN 1..length(word) LOOP
        gram := substr(word, place, 3);
        IF length(gram) = 3 AND strpos(gram, chr(10)) = 0 THEN
            grams := grams || gram;
        END IF;
        IF wide THEN
            FOR size IN 1..2 LOOP
                gram := substr(word, place, size);
                IF length(gram) = size AND octet_length(gram) > size AND strpos(gram, chr(10)) = 0 THEN
                    grams := grams || gram;
                END IF;
            END LOOP;
        END IF;
    END LOOP;
    RETURN grams;
END $$;
COMMENT ON FUNCTION keyward_grams IS
    'The pieces by which a text is found from within: three characters, or fewer where they are not ASCII, for in some scripts one is a word. What pg_trgm does, without the extension, which not every server has';
CREATE INDEX users_grams ON users USING gin (keyward_grams(keyward_user_text(email, username, nickname)));
CREATE INDEX users_unverified ON users (created_at DESC, id DESC) WHERE email_verified_at IS NULL AND disabled_at IS NULL;
CREATE INDEX users_disabled ON users (created_at DESC, id DESC) WHERE disabled_at IS NOT NULL;
