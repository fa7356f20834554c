-- Each instance caches what it read about credentials for a few seconds. These triggers invalidate cache entries by
-- NOTIFY with the id of the changed row, on two channels: `keyward`, on which every instance listens, and the channel
-- of the connection that makes the change, so that its instance invalidates its own cache before the commit returns.
--
-- The column lists and conditions matter. NOTIFY serialises commits, so frequent updates that no credential depends on,
-- such as logins, refreshes and uses of keys, must not fire a trigger.

CREATE FUNCTION keyward_notify_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed_id text := to_jsonb(OLD) ->> TG_ARGV[0];
BEGIN
    PERFORM pg_notify('keyward', changed_id), pg_notify('keyward_' || pg_backend_pid(), changed_id);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION keyward_notify_change IS
    'Sends the id in the column named by the argument, of the row before the change, to all instances.';

CREATE TRIGGER api_keys_changed
    AFTER UPDATE OF user_id, org_id, membership_id, name, scopes, allowed_ips, expires_at, disabled_at ON api_keys
    FOR EACH ROW EXECUTE FUNCTION keyward_notify_change('id');
COMMENT ON TRIGGER api_keys_changed ON api_keys IS
    'Invalidates the cached key. Updates of the last use do not fire it.';
CREATE TRIGGER api_keys_deleted AFTER DELETE ON api_keys FOR EACH ROW EXECUTE FUNCTION keyward_notify_change('id');
COMMENT ON TRIGGER api_keys_deleted ON api_keys IS 'Invalidates the cached key.';

CREATE TRIGGER api_key_secrets_changed AFTER UPDATE OR DELETE ON api_key_secrets
    FOR EACH ROW EXECUTE FUNCTION keyward_notify_change('api_key_id');
COMMENT ON TRIGGER api_key_secrets_changed ON api_key_secrets IS 'Invalidates the cached key after a rotation.';

CREATE TRIGGER sessions_changed AFTER UPDATE OF ended_at, authenticated_at, expires_at ON sessions FOR EACH ROW
    WHEN ((OLD.ended_at, OLD.authenticated_at, OLD.expires_at)
        IS DISTINCT FROM (NEW.ended_at, NEW.authenticated_at, NEW.expires_at))
    EXECUTE FUNCTION keyward_notify_change('id');
COMMENT ON TRIGGER sessions_changed ON sessions IS 'Invalidates the cached session. A refresh does not fire it.';
-- No trigger for deleted sessions: the rows of live ones are deleted with their user only, whose trigger invalidates them, and a
-- notification for each of 100,000 would take 2 of 2.1 seconds of that statement.

CREATE TRIGGER users_changed AFTER UPDATE OF username, email, role, disabled_at ON users FOR EACH ROW
    WHEN ((OLD.username, OLD.email, OLD.role, OLD.disabled_at)
        IS DISTINCT FROM (NEW.username, NEW.email, NEW.role, NEW.disabled_at))
    EXECUTE FUNCTION keyward_notify_change('id');
COMMENT ON TRIGGER users_changed ON users IS
    'Invalidates the cached sessions and keys of the user. A login does not fire it.';
CREATE TRIGGER users_deleted AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION keyward_notify_change('id');
COMMENT ON TRIGGER users_deleted ON users IS 'Invalidates the cached sessions and keys of the user.';

CREATE TRIGGER memberships_changed AFTER UPDATE OF role, disabled_services ON memberships FOR EACH ROW
    WHEN ((OLD.role, OLD.disabled_services) IS DISTINCT FROM (NEW.role, NEW.disabled_services))
    EXECUTE FUNCTION keyward_notify_change('id');
COMMENT ON TRIGGER memberships_changed ON memberships IS
    'Invalidates the cached sessions and keys that act under the membership.';
CREATE TRIGGER memberships_deleted AFTER DELETE ON memberships
    FOR EACH ROW EXECUTE FUNCTION keyward_notify_change('id');
COMMENT ON TRIGGER memberships_deleted ON memberships IS
    'Invalidates the cached sessions and keys that act under the membership.';

CREATE TRIGGER orgs_changed AFTER UPDATE OF slug ON orgs FOR EACH ROW
    WHEN (OLD.slug IS DISTINCT FROM NEW.slug) EXECUTE FUNCTION keyward_notify_change('id');
COMMENT ON TRIGGER orgs_changed ON orgs IS 'Invalidates the cached keys of the organisation, which include its slug.';
