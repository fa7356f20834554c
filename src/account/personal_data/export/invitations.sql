SELECT created_at AS at, id AS id, json_build_object(
    'id', id, 'org_id', org_id, 'email', email, 'role', role, 'created_at', keyward_rfc3339(created_at),
    'accepted_at', keyward_rfc3339(accepted_at), 'declined_at', keyward_rfc3339(declined_at),
    'revoked_at', keyward_rfc3339(revoked_at))::text AS item
FROM invitations
WHERE (accepted_by = $1 OR email = (SELECT email FROM users WHERE id = $1)) AND created_at <= $2
    AND (created_at, id) > ($3, $4) ORDER BY created_at, id LIMIT $5
