-- Instances remember for moments how credentials stand. These triggers tell them of every change of what that depends on,
-- with the id of what was changed: on the channel `keyward`, to which every instance listens, and on the channel of the
-- connection that makes the change, which hears it before its commit returns.
--
-- Only changes that matter are told: NOTIFY makes commits take turns, so that what happens all the time (log-ins,
-- refreshes, uses of keys) must not be among them.

CREATE FUNCTION keyward_tell_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed text := to_jsonb(OLD) ->> TG_ARGV[0];
BEGIN
    PERFORM pg_notify('keyward', changed), pg_notify('keyward_' || pg_backend_pid(), changed);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION keyward_tell_change IS 'Tells every instance that the row named by a column of the changed one was changed';

CREATE TRIGGER api_keys_changed AFTER UPDATE OF user_id, org_id, membership_id, name, scopes, allowed_ips, expires_at, disabled_at
    ON api_keys FOR EACH ROW EXECUTE FUNCTION keyward_tell_change('id');
CREATE TRIGGER api_keys_deleted AFTER DELETE ON api_keys FOR EACH ROW EXECUTE FUNCTION keyward_tell_change('id');

CREATE TRIGGER api_key_secrets_changed AFTER UPDATE OR DELETE ON api_key_secrets
    FOR EACH ROW EXECUTE FUNCTION keyward_tell_change('api_key_id');

CREATE TRIGGER sessions_changed AFTER UPDATE OF ended_at, authenticated_at, expires_at ON sessions FOR EACH ROW
    WHEN ((OLD.ended_at, OLD.authenticated_at, OLD.expires_at) IS DISTINCT FROM (NEW.ended_at, NEW.authenticated_at, NEW.expires_at))
    EXECUTE FUNCTION keyward_tell_change('id');
CREATE TRIGGER sessions_deleted AFTER DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION keyward_tell_change('id');

CREATE TRIGGER users_changed AFTER UPDATE OF username, email, role, disabled_at ON users FOR EACH ROW
    WHEN ((OLD.username, OLD.email, OLD.role, OLD.disabled_at) IS DISTINCT FROM (NEW.username, NEW.email, NEW.role, NEW.disabled_at))
    EXECUTE FUNCTION keyward_tell_change('id');
CREATE TRIGGER users_deleted AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION keyward_tell_change('id');

CREATE TRIGGER memberships_changed AFTER UPDATE OF role, disabled_services ON memberships FOR EACH ROW
    WHEN ((OLD.role, OLD.disabled_services) IS DISTINCT FROM (NEW.role, NEW.disabled_services))
    EXECUTE FUNCTION keyward_tell_change('id');
CREATE TRIGGER memberships_deleted AFTER DELETE ON memberships FOR EACH ROW EXECUTE FUNCTION keyward_tell_change('id');

CREATE TRIGGER orgs_changed AFTER UPDATE OF slug ON orgs FOR EACH ROW
    WHEN (OLD.slug IS DISTINCT FROM NEW.slug) EXECUTE FUNCTION keyward_tell_change('id');
