-- $1: id of the user; $2: time of the export. Secrets and their hashes are not exported.
SELECT json_build_object(
    'exported_at', keyward_rfc3339($2),
    'account', (
        SELECT json_build_object(
            'id', id, 'email', email, 'email_verified_at', keyward_rfc3339(email_verified_at), 'username', username,
            'nickname', nickname, 'role', role, 'locale', locale, 'time_zone', time_zone, 'avatar_id', avatar_id,
            'password_changed_at', keyward_rfc3339(password_changed_at), 'created_at', keyward_rfc3339(created_at),
            'updated_at', keyward_rfc3339(updated_at), 'last_login_at', keyward_rfc3339(last_login_at))
        FROM users WHERE id = $1),
    'released_usernames', (
        SELECT coalesce(json_agg(json_build_object(
            'username', username, 'released_at', keyward_rfc3339(released_at)) ORDER BY released_at), '[]')
        FROM released_usernames WHERE user_id = $1),
    'email_changes', (
        SELECT coalesce(json_agg(json_build_object(
            'old_email', old_email, 'new_email', new_email, 'requested_at', keyward_rfc3339(requested_at),
            'confirmed_at', keyward_rfc3339(confirmed_at), 'cancelled_at', keyward_rfc3339(cancelled_at),
            'reverted_at', keyward_rfc3339(reverted_at)) ORDER BY requested_at), '[]')
        FROM email_changes WHERE user_id = $1),
    'sessions', (
        SELECT coalesce(json_agg(json_build_object(
            'id', id, 'user_agent', user_agent, 'ip', host(ip), 'created_at', keyward_rfc3339(created_at),
            'last_used_at', keyward_rfc3339(last_used_at), 'expires_at', keyward_rfc3339(expires_at),
            'ended_at', keyward_rfc3339(ended_at), 'end_reason', end_reason) ORDER BY created_at), '[]')
        FROM sessions WHERE user_id = $1),
    'organisations', (
        SELECT coalesce(json_agg(json_build_object(
            'id', orgs.id, 'name', orgs.name, 'slug', orgs.slug, 'role', memberships.role,
            'joined_at', keyward_rfc3339(joined_at)) ORDER BY joined_at), '[]')
        FROM memberships JOIN orgs ON orgs.id = org_id WHERE user_id = $1),
    'api_keys', (
        SELECT coalesce(json_agg(json_build_object(
            'id', id, 'name', name, 'hint', hint, 'org_id', org_id, 'scopes', scopes, 'remark', remark,
            'allowed_ips', allowed_ips::text[], 'expires_at', keyward_rfc3339(expires_at),
            'last_used_at', keyward_rfc3339(last_used_at), 'last_used_ip', host(last_used_ip),
            'created_at', keyward_rfc3339(created_at)) ORDER BY created_at), '[]')
        FROM api_keys WHERE user_id = $1),
    'invitations', (
        SELECT coalesce(json_agg(json_build_object(
            'id', id, 'org_id', org_id, 'email', email, 'role', role, 'created_at', keyward_rfc3339(created_at),
            'accepted_at', keyward_rfc3339(accepted_at), 'declined_at', keyward_rfc3339(declined_at),
            'revoked_at', keyward_rfc3339(revoked_at)) ORDER BY created_at), '[]')
        FROM invitations WHERE accepted_by = $1 OR email = (SELECT email FROM users WHERE id = $1)),
    'join_requests', (
        SELECT coalesce(json_agg(json_build_object(
            'id', id, 'org_id', org_id, 'message', message, 'reason', reason, 'created_at', keyward_rfc3339(created_at),
            'approved_at', keyward_rfc3339(approved_at), 'rejected_at', keyward_rfc3339(rejected_at),
            'withdrawn_at', keyward_rfc3339(withdrawn_at)) ORDER BY created_at), '[]')
        FROM join_requests WHERE user_id = $1),
    'notifications', (
        SELECT coalesce(json_agg(json_build_object(
            'id', id, 'type', type, 'data', data, 'created_at', keyward_rfc3339(created_at),
            'read_at', keyward_rfc3339(read_at), 'resolved_at', keyward_rfc3339(resolved_at)) ORDER BY created_at), '[]')
        FROM notifications WHERE user_id = $1),
    'mail_opt_outs', (
        SELECT coalesce(json_agg(type ORDER BY type), '[]') FROM mail_opt_outs WHERE user_id = $1),
    'activity', (
        SELECT coalesce(json_agg(json_build_object(
            'id', id, 'action', action, 'result', result, 'ip', host(ip), 'request_id', request_id,
            'at', keyward_rfc3339(at), 'details', details) ORDER BY at), '[]')
        FROM audit_log WHERE user_id = $1)
) AS data
