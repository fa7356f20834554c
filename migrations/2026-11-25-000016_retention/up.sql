-- Indexes by which rows whose retention has ended are found.
--
-- They contain only columns that change at most once in the life of a row, so they make no frequent update slower.

CREATE FUNCTION keyward_first_uuid_v7(at timestamptz) RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70000000000000000000')::uuid
$$;
COMMENT ON FUNCTION keyward_first_uuid_v7 IS
    'The smallest UUID version 7 for the given time: all ids generated since are greater.';

CREATE INDEX api_key_reminders_expires ON api_key_reminders (expires_at);
CREATE INDEX api_key_usage_date ON api_key_usage (date);
CREATE INDEX email_changes_expires ON email_changes (expires_at);
CREATE INDEX invitations_expires ON invitations (expires_at);
CREATE INDEX join_requests_decided ON join_requests ((greatest(approved_at, rejected_at, withdrawn_at)));
CREATE INDEX join_requests_undecided ON join_requests (created_at)
    WHERE approved_at IS NULL AND rejected_at IS NULL AND withdrawn_at IS NULL;
CREATE INDEX mail_outbox_done ON mail_outbox (created_at) WHERE sent_at IS NOT NULL OR failed_at IS NOT NULL;
CREATE INDEX notifications_done ON notifications (id) WHERE read_at IS NOT NULL OR resolved_at IS NOT NULL;
CREATE INDEX one_time_tokens_expires ON one_time_tokens (expires_at);
CREATE INDEX registrations_expires ON registrations (expires_at);
CREATE INDEX released_usernames_released ON released_usernames (released_at);
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
-- Not for a sweep, but for the limit of live sessions per user, and to end them all.
CREATE INDEX sessions_live ON sessions (user_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_expires ON sessions (expires_at) WHERE ended_at IS NULL;
CREATE INDEX users_unverified_updated ON users (updated_at) WHERE email_verified_at IS NULL AND disabled_at IS NULL;
