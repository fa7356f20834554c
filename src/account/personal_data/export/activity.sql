-- As GET /me/activity, without the address and the request id of other users.
SELECT at AS at, id AS id, json_build_object(
    'id', id, 'action', action, 'result', result,
    'ip', CASE WHEN by_self THEN host(ip) END, 'request_id', CASE WHEN by_self THEN request_id END,
    'at', keyward_rfc3339(at), 'details', details)::text AS item
FROM audit_log, LATERAL (SELECT actor_type <> 'user' OR actor_id IS NOT DISTINCT FROM $1) AS actor (by_self)
WHERE user_id = $1 AND at <= $2 AND (at, id) > ($3, $4) ORDER BY at, id LIMIT $5
