DROP INDEX users_last_org, sessions_org, invitations_invited_by, invitations_accepted_by, join_requests_decided_by;
