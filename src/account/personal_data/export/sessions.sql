SELECT created_at AS at, id AS id, json_build_object(
    'id', id, 'user_agent', user_agent, 'ip', host(ip), 'created_at', keyward_rfc3339(created_at),
    'last_used_at', keyward_rfc3339(last_used_at), 'expires_at', keyward_rfc3339(expires_at),
    'ended_at', keyward_rfc3339(ended_at), 'end_reason', end_reason)::text AS item
FROM sessions
WHERE user_id = $1 AND created_at <= $2 AND (created_at, id) > ($3, $4) ORDER BY created_at, id LIMIT $5
