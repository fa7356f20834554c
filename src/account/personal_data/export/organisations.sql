SELECT joined_at AS at, org_id AS id, json_build_object(
    'id', orgs.id, 'name', orgs.name, 'slug', orgs.slug, 'role', memberships.role,
    'joined_at', keyward_rfc3339(joined_at))::text AS item
FROM memberships JOIN orgs ON orgs.id = org_id
WHERE user_id = $1 AND joined_at <= $2 AND (joined_at, org_id) > ($3, $4) ORDER BY joined_at, org_id LIMIT $5
