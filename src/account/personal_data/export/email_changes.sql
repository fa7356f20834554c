SELECT requested_at AS at, id AS id, json_build_object(
    'old_email', old_email, 'new_email', new_email, 'requested_at', keyward_rfc3339(requested_at),
    'confirmed_at', keyward_rfc3339(confirmed_at), 'cancelled_at', keyward_rfc3339(cancelled_at),
    'reverted_at', keyward_rfc3339(reverted_at))::text AS item
FROM email_changes
WHERE user_id = $1 AND requested_at <= $2 AND (requested_at, id) > ($3, $4) ORDER BY requested_at, id LIMIT $5
