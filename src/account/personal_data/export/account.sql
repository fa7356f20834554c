SELECT json_build_object(
    'id', id, 'email', email, 'email_verified_at', keyward_rfc3339(email_verified_at), 'username', username,
    'nickname', nickname, 'role', role, 'locale', locale, 'time_zone', time_zone, 'avatar_id', avatar_id,
    'password_changed_at', keyward_rfc3339(password_changed_at), 'created_at', keyward_rfc3339(created_at),
    'updated_at', keyward_rfc3339(updated_at), 'last_login_at', keyward_rfc3339(last_login_at))::text AS account,
    (SELECT coalesce(json_agg(type ORDER BY type), '[]')::text FROM mail_opt_outs WHERE user_id = $1) AS mail_opt_outs
FROM users WHERE id = $1
