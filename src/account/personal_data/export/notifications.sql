SELECT created_at AS at, id AS id, json_build_object(
    'id', id, 'type', type, 'data', data, 'created_at', keyward_rfc3339(created_at),
    'read_at', keyward_rfc3339(read_at), 'resolved_at', keyward_rfc3339(resolved_at))::text AS item
FROM notifications
WHERE user_id = $1 AND created_at <= $2 AND id > $4 ORDER BY id LIMIT $5
