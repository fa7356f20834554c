CREATE TABLE audit_log (
    id          uuid        PRIMARY KEY,
    at          timestamptz NOT NULL,
    action      text        NOT NULL,
    actor_type  text        NOT NULL CHECK (actor_type IN ('user', 'api_key', 'system', 'anonymous')),
    actor_id    uuid,
    actor_name  text,
    object_type text,
    object_id   uuid,
    object_name text,
    user_id     uuid,
    org_id      uuid,
    result      text        NOT NULL CHECK (result IN ('success', 'failure')),
    ip          inet,
    request_id  text,
    details     jsonb       NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE audit_log IS
    'One record per security-relevant action, inserted in the transaction of the action. A record holds no secret. It '
    'has no foreign keys, because it outlives the rows that it names.';
COMMENT ON COLUMN audit_log.at IS 'When the action happened.';
COMMENT ON COLUMN audit_log.action IS 'Object and verb, such as session.created.';
COMMENT ON COLUMN audit_log.actor_type IS
    'Kind of the actor. system: the service itself or an operator on the command line. anonymous: an unauthenticated '
    'caller.';
COMMENT ON COLUMN audit_log.actor_id IS 'Id of the user or of the API key. Null for system and anonymous.';
COMMENT ON COLUMN audit_log.actor_name IS
    'Name of the user or of the API key at that time. Null for system and anonymous.';
COMMENT ON COLUMN audit_log.object_type IS
    'Kind of the object acted on. Null: the action has no object but the account.';
COMMENT ON COLUMN audit_log.object_id IS 'Null: no object, or one without an id, such as an e-mail address.';
COMMENT ON COLUMN audit_log.object_name IS 'Name of the object at that time. Null: no object, or one without a name.';
COMMENT ON COLUMN audit_log.user_id IS 'The account concerned; GET /me/activity lists by it. Null: none.';
COMMENT ON COLUMN audit_log.org_id IS
    'The organisation concerned; GET /orgs/{org_id}/audit-log lists by it. Null: none.';
COMMENT ON COLUMN audit_log.result IS 'failure: the action was attempted and refused.';
COMMENT ON COLUMN audit_log.ip IS 'The client address. Null for actions of the system.';
COMMENT ON COLUMN audit_log.request_id IS 'The X-Request-Id of the response. Null for actions of the system.';
COMMENT ON COLUMN audit_log.details IS 'More about the action, by name.';
CREATE INDEX audit_log_at ON audit_log (at DESC, id DESC);
CREATE INDEX audit_log_org ON audit_log (org_id, at DESC, id DESC) WHERE org_id IS NOT NULL;
CREATE INDEX audit_log_user ON audit_log (user_id, at DESC, id DESC) WHERE user_id IS NOT NULL;
CREATE INDEX audit_log_actor ON audit_log (actor_id, at DESC, id DESC) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_log_action ON audit_log (action, at DESC, id DESC);

CREATE FUNCTION keyward_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.at < coalesce(
        nullif(current_setting('keyward.audit_kept_since', true), '')::timestamptz, now() - interval '400 days'
    ) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'audit_log is append-only';
END $$;
COMMENT ON FUNCTION keyward_append_only IS
    'Refuses the statement, unless it deletes a record that is older than the retention: 400 days. A retention of '
    'another length sets keyward.audit_kept_since, with SET LOCAL in its own transaction, to the instant since which '
    'records are kept.';
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION keyward_append_only();
COMMENT ON TRIGGER audit_log_append_only ON audit_log IS
    'Records cannot be changed, nor deleted before the end of the retention.';
CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION keyward_append_only();
COMMENT ON TRIGGER audit_log_no_truncate ON audit_log IS 'TRUNCATE would delete records of every age.';
