SELECT created_at AS at, id AS id, json_build_object(
    'id', id, 'org_id', org_id, 'message', message, 'reason', reason, 'created_at', keyward_rfc3339(created_at),
    'approved_at', keyward_rfc3339(approved_at), 'rejected_at', keyward_rfc3339(rejected_at),
    'withdrawn_at', keyward_rfc3339(withdrawn_at))::text AS item
FROM join_requests
WHERE user_id = $1 AND created_at <= $2 AND (created_at, id) > ($3, $4) ORDER BY created_at, id LIMIT $5
