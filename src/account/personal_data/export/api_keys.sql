SELECT created_at AS at, id AS id, json_build_object(
    'id', id, 'name', name, 'hint', hint, 'org_id', org_id, 'scopes', scopes, 'remark', remark,
    'allowed_ips', allowed_ips::text[], 'expires_at', keyward_rfc3339(expires_at),
    'last_used_at', keyward_rfc3339(last_used_at), 'last_used_ip', host(last_used_ip),
    'created_at', keyward_rfc3339(created_at))::text AS item
FROM api_keys
WHERE user_id = $1 AND created_at <= $2 AND (created_at, id) > ($3, $4) ORDER BY created_at, id LIMIT $5
