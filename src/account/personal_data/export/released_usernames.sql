SELECT released_at AS at, md5(username)::uuid AS id, json_build_object(
    'username', username, 'released_at', keyward_rfc3339(released_at))::text AS item
FROM released_usernames
WHERE user_id = $1 AND released_at <= $2
    AND (released_at, md5(username)::uuid) > ($3, $4) ORDER BY released_at, md5(username)::uuid LIMIT $5
