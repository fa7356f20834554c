CREATE TABLE users (
    id                  uuid        PRIMARY KEY,
    email               text        NOT NULL UNIQUE CHECK (email = lower(email) AND length(email) <= 254),
    email_verified_at   timestamptz,
    password_hash       text,
    password_changed_at timestamptz,
    username            text        UNIQUE CHECK (username ~ '^[a-z][a-z0-9_.-]{2,29}$'),
    nickname            text        CHECK (length(nickname) BETWEEN 1 AND 64),
    role                text        NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
    locale              text        NOT NULL DEFAULT 'en',
    time_zone           text        NOT NULL DEFAULT 'UTC',
    avatar_id           uuid        REFERENCES images ON DELETE SET NULL,
    last_org_id         uuid,
    version             bigint      NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    last_login_at       timestamptz,
    disabled_at         timestamptz,
    -- Any caller can register any address. Only a verified mailbox may give its account a password.
    CONSTRAINT users_password_needs_verified_email CHECK (password_hash IS NULL OR email_verified_at IS NOT NULL)
);
COMMENT ON TABLE users IS
    'Accounts. The row is created by the first registration of an address, or by an operator, and can log in once its '
    'e-mail address is verified and it has a password.';
COMMENT ON COLUMN users.email IS 'Lower case, with the domain in its ASCII (IDNA) form.';
COMMENT ON COLUMN users.email_verified_at IS
    'When the current address was verified, by a mailed link or by the operator who created the account. Null: not '
    'verified.';
COMMENT ON COLUMN users.password_hash IS
    'Argon2id hash as a PHC string. Null: no password, either because the address is not verified yet or because the '
    'owner of the previous address reverted an e-mail change. Verification, reset and change of the password set it.';
COMMENT ON COLUMN users.password_changed_at IS
    'When the user last set a password. Storing the same password again under newer hash parameters does not count. '
    'Null: never.';
COMMENT ON COLUMN users.username IS 'Unique, lower case, also accepted as login. Null until the user chooses one.';
COMMENT ON COLUMN users.nickname IS 'Display name. Null until the user chooses one.';
COMMENT ON COLUMN users.role IS
    'Role on the platform, set by a platform admin or an operator. Roles in organisations are in memberships.';
COMMENT ON COLUMN users.locale IS 'BCP 47 tag of the language of mails and notifications.';
COMMENT ON COLUMN users.time_zone IS 'IANA name, stored for clients. The service itself computes in UTC.';
COMMENT ON COLUMN users.avatar_id IS 'Null: no avatar.';
COMMENT ON COLUMN users.last_org_id IS
    'The organisation in which the next login starts. A default only: the login checks that the user is still a '
    'member. Null: no organisation.';
COMMENT ON COLUMN users.version IS 'ETag of the profile. Only a change of the profile increments it.';
COMMENT ON COLUMN users.last_login_at IS 'Null: never logged in.';
COMMENT ON COLUMN users.disabled_at IS
    'When a platform admin or an operator disabled the account. Null: enabled. While it is disabled, its sessions and '
    'API keys are refused.';
CREATE INDEX users_created ON users (created_at DESC, id DESC);
-- Each login reads the distinct parameters of all hashes.
CREATE INDEX users_hash_parameters ON users (split_part(password_hash, '$', 4)) WHERE password_hash IS NOT NULL;
CREATE INDEX users_avatar ON users (avatar_id) WHERE avatar_id IS NOT NULL;
-- For the status filter of GET /admin/users.
CREATE INDEX users_unverified ON users (created_at DESC, id DESC)
    WHERE email_verified_at IS NULL AND disabled_at IS NULL;
CREATE INDEX users_disabled ON users (created_at DESC, id DESC) WHERE disabled_at IS NOT NULL;

CREATE TABLE released_usernames (
    username    text        PRIMARY KEY,
    user_id     uuid        REFERENCES users ON DELETE SET NULL,
    released_at timestamptz NOT NULL
);
COMMENT ON TABLE released_usernames IS
    'Usernames that were given up. Each stays reserved for 30 days after released_at, so that another user cannot '
    'impersonate its previous owner right away.';
COMMENT ON COLUMN released_usernames.user_id IS
    'The account that gave the name up and may take it back during the 30 days. Null: that account was deleted.';
CREATE INDEX released_usernames_user ON released_usernames (user_id) WHERE user_id IS NOT NULL;

CREATE TABLE registrations (
    id            uuid        PRIMARY KEY,
    email         text        NOT NULL CHECK (email = lower(email)),
    password_hash text        NOT NULL,
    nickname      text,
    locale        text        NOT NULL,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL
);
COMMENT ON TABLE registrations IS
    'Registrations whose mailbox is not verified yet. An address can have several; each keeps its own password, which '
    'the account gets only through the link of that registration. Verifying one deletes all of its address. A '
    'registration of an address that already has a verified account is stored too, so that a login with it gets the '
    'same response, but its link is never mailed.';
COMMENT ON COLUMN registrations.email IS 'In the form of users.email.';
COMMENT ON COLUMN registrations.password_hash IS 'Argon2id hash as a PHC string.';
COMMENT ON COLUMN registrations.nickname IS 'Becomes the nickname of the account. Null: none given.';
COMMENT ON COLUMN registrations.locale IS
    'BCP 47 tag. Language of the mail with the link; becomes that of the account.';
CREATE INDEX registrations_email ON registrations (email, created_at DESC);

CREATE FUNCTION keyward_user_search_text(email text, username text, nickname text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT lower(email || chr(10) || coalesce(username, '') || chr(10) || coalesce(nickname, ''))
$$;
COMMENT ON FUNCTION keyward_user_search_text IS
    'The text that GET /admin/users searches: e-mail address, username and nickname in lower case, separated by line '
    'breaks so that no match spans two fields.';

-- pg_trgm would do this, but it is an extension that not every managed server offers.
CREATE FUNCTION keyward_trigrams(content text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 1000 AS $$
DECLARE
    trigrams      text[] := '{}';
    gram          text;
    has_non_ascii boolean := octet_length(content) > length(content);
BEGIN
    FOR start IN 1..length(content) LOOP
        gram := substr(content, start, 3);
        IF length(gram) = 3 AND strpos(gram, chr(10)) = 0 THEN
            trigrams := trigrams || gram;
        END IF;
        IF has_non_ascii THEN
            FOR size IN 1..2 LOOP
                gram := substr(content, start, size);
                IF length(gram) = size AND octet_length(gram) > size AND strpos(gram, chr(10)) = 0 THEN
                    trigrams := trigrams || gram;
                END IF;
            END LOOP;
        END IF;
    END LOOP;
    RETURN trigrams;
END $$;
COMMENT ON FUNCTION keyward_trigrams IS
    'All substrings of three characters, without those that contain a line break. Also the substrings of one and two '
    'characters that contain a non-ASCII character, because in some scripts a word is that short. A text can contain '
    'another only if it has all of its trigrams.';
CREATE INDEX users_trigrams ON users USING gin (keyward_trigrams(keyward_user_search_text(email, username, nickname)));
