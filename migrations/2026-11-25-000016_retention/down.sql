DROP INDEX api_key_reminders_expires, api_key_usage_date, email_changes_expires, invitations_expires,
    join_requests_decided, join_requests_undecided, mail_outbox_done, notifications_done, one_time_tokens_expires,
    registrations_expires, released_usernames_released, sessions_ended, sessions_live, sessions_expires, users_unverified_updated;
DROP FUNCTION keyward_first_uuid_v7;
