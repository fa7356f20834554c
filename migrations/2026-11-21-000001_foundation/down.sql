DROP TABLE idempotency_keys, audit_log, mail_outbox, mail_opt_outs, notifications, api_key_reminders, api_key_usage,
    api_key_secrets, api_keys, one_time_tokens, email_changes, password_attempts, refresh_tokens, sessions,
    join_requests, invitations, memberships, registrations, released_usernames, users, orgs, images CASCADE;
DROP FUNCTION keyward_append_only, keyward_require_owner;
