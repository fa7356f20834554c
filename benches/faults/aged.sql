-- A database after years: in each table with a retention, keyward.rows rows (a setting of the session), spread over the last
-- 800 days. They belong to 100 users with one organisation and one API key each.
CREATE TEMPORARY TABLE ages AS
    SELECT n, now() - n * interval '800 days' / current_setting('keyward.rows')::int AS at,
           md5('user' || n % 100)::uuid AS user_id, md5('org' || n % 100)::uuid AS org_id,
           md5('key' || n % 100)::uuid AS key_id
    FROM generate_series(1, current_setting('keyward.rows')::int) AS n;

INSERT INTO users (id, email, email_verified_at, created_at, updated_at)
    SELECT md5('user' || n)::uuid, n || '@verified.example', now(), now(), now() FROM generate_series(0, 99) AS n;
INSERT INTO users (id, email, created_at, updated_at)
    SELECT gen_random_uuid(), n || '@unverified.example', at, at FROM ages;
INSERT INTO registrations (id, email, password_hash, locale, created_at, expires_at)
    SELECT md5('registration' || n)::uuid, n || '@unverified.example', '', 'en', at, at + interval '1 day' FROM ages;
INSERT INTO released_usernames (username, user_id, released_at) SELECT 'name' || n, user_id, at FROM ages;
INSERT INTO orgs (id, name, slug, join_policy, created_at, updated_at)
    SELECT md5('org' || n)::uuid, 'Org ' || n, 'org-' || n, 'request', now(), now() FROM generate_series(0, 99) AS n;
INSERT INTO memberships (id, org_id, user_id, role, joined_at)
    SELECT gen_random_uuid(), md5('org' || n)::uuid, md5('user' || n)::uuid, 'owner', now() FROM generate_series(0, 99) AS n;
INSERT INTO invitations (id, org_id, email, role, created_at, expires_at)
    SELECT md5('invitation' || n)::uuid, org_id, n || '@invited.example', 'member', at, at + interval '7 days' FROM ages;
INSERT INTO join_requests (id, org_id, user_id, created_at, approved_at)
    SELECT gen_random_uuid(), org_id, user_id, at, at + interval '1 day' FROM ages;
INSERT INTO sessions (id, user_id, device, ip, created_at, authenticated_at, last_used_at, expires_at, ended_at, end_reason)
    SELECT gen_random_uuid(), user_id, '', '192.0.2.1', at, at, at, at + interval '90 days',
           CASE WHEN n % 2 = 0 THEN at END, CASE WHEN n % 2 = 0 THEN 'logged_out' END
    FROM ages;
INSERT INTO password_attempts (throttle_key, network, attempted_at) SELECT 'key', '192.0.2.1', at FROM ages;
INSERT INTO email_changes (id, user_id, old_email, new_email, requested_at, expires_at, cancelled_at)
    SELECT md5('change' || n)::uuid, user_id, 'old@example.com', 'new@example.com', at, at + interval '1 day', at FROM ages;
INSERT INTO one_time_tokens (id, purpose, token_hash, invitation_id, created_at, expires_at)
    SELECT gen_random_uuid(), 'invitation', sha256(n::text::bytea), md5('invitation' || n)::uuid, at, at + interval '7 days'
    FROM ages;
INSERT INTO api_keys (id, user_id, name, hint, scopes, created_at, updated_at, granted_at)
    SELECT md5('key' || n)::uuid, md5('user' || n)::uuid, 'key', 'kw_0000', '{}', now(), now(), now()
    FROM generate_series(0, 99) AS n;
INSERT INTO api_key_usage (api_key_id, date) SELECT key_id, at FROM ages ON CONFLICT DO NOTHING;
INSERT INTO api_key_reminders (api_key_id, expires_at, days_before, sent_at) SELECT key_id, at, 30, at FROM ages;
INSERT INTO notifications (id, user_id, type, data, created_at, read_at)
    SELECT keyward_uuid_v7(at), user_id, 'announcement', '{"title": "", "body": ""}', at, CASE WHEN n % 2 = 0 THEN at END
    FROM ages;
INSERT INTO mail_outbox (id, recipient, locale, message, created_at, next_attempt_at, sent_at)
    SELECT gen_random_uuid(), 'ada@example.com', 'en', '{}', at, at, at FROM ages;
INSERT INTO mail_requests (recipient, is_reset, user_id, is_admitted, requested_at)
    SELECT 'ada@example.com', false, user_id, true, at FROM ages;
INSERT INTO audit_log (id, at, action, actor_type, result) SELECT gen_random_uuid(), at, 'session.created', 'system', 'success'
    FROM ages;
INSERT INTO idempotency_keys (user_id, key, request_mac, status, headers, created_at)
    SELECT user_id, n::text, sha256('request'), 204, '[]', at FROM ages;
DROP TABLE ages;
