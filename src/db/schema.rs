// @generated automatically by Diesel CLI.

diesel::table! {
    api_key_reminders (api_key_id, expires_at, days_before) {
        api_key_id -> Uuid,
        expires_at -> Timestamptz,
        days_before -> Int4,
        sent_at -> Timestamptz,
    }
}

diesel::table! {
    api_key_secrets (secret_hash) {
        secret_hash -> Bytea,
        api_key_id -> Uuid,
        created_at -> Timestamptz,
        ends_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    api_key_usage (api_key_id, date) {
        api_key_id -> Uuid,
        date -> Date,
        requests -> Int8,
        denied -> Int8,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Uuid,
        user_id -> Uuid,
        org_id -> Nullable<Uuid>,
        membership_id -> Nullable<Uuid>,
        name -> Text,
        remark -> Nullable<Text>,
        hint -> Text,
        scopes -> Array<Text>,
        allowed_ips -> Array<Cidr>,
        expires_at -> Nullable<Timestamptz>,
        disabled_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
        last_used_ip -> Nullable<Inet>,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        granted_at -> Timestamptz,
    }
}

diesel::table! {
    audit_counts (action, account, network) {
        action -> Text,
        account -> Uuid,
        network -> Cidr,
        result -> Text,
        count -> Int8,
        first_at -> Timestamptz,
        last_at -> Timestamptz,
        ip -> Inet,
        request_id -> Text,
    }
}

diesel::table! {
    audit_log (id) {
        id -> Uuid,
        at -> Timestamptz,
        action -> Text,
        actor_type -> Text,
        actor_id -> Nullable<Uuid>,
        actor_name -> Nullable<Text>,
        object_type -> Nullable<Text>,
        object_id -> Nullable<Uuid>,
        object_name -> Nullable<Text>,
        user_id -> Nullable<Uuid>,
        org_id -> Nullable<Uuid>,
        result -> Text,
        ip -> Nullable<Inet>,
        request_id -> Nullable<Text>,
        details -> Jsonb,
    }
}

diesel::table! {
    deployment (id) {
        id -> Bool,
        secret_fingerprint -> Text,
        signing_key_id -> Text,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    email_changes (id) {
        id -> Uuid,
        user_id -> Uuid,
        old_email -> Text,
        new_email -> Text,
        requested_at -> Timestamptz,
        expires_at -> Timestamptz,
        confirmed_at -> Nullable<Timestamptz>,
        cancelled_at -> Nullable<Timestamptz>,
        reverted_at -> Nullable<Timestamptz>,
        revert_expires_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    idempotency_keys (user_id, key) {
        user_id -> Uuid,
        key -> Text,
        request_mac -> Bytea,
        status -> Int2,
        headers -> Json,
        body -> Nullable<Json>,
        created_at -> Timestamptz,
        mismatches -> Int2,
    }
}

diesel::table! {
    images (id) {
        id -> Uuid,
        content -> Bytea,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    invitations (id) {
        id -> Uuid,
        org_id -> Uuid,
        email -> Text,
        role -> Text,
        invited_by -> Nullable<Uuid>,
        locale -> Text,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        accepted_at -> Nullable<Timestamptz>,
        declined_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        accepted_by -> Nullable<Uuid>,
    }
}

diesel::table! {
    join_requests (id) {
        id -> Uuid,
        org_id -> Uuid,
        user_id -> Uuid,
        message -> Nullable<Text>,
        reason -> Nullable<Text>,
        created_at -> Timestamptz,
        approved_at -> Nullable<Timestamptz>,
        rejected_at -> Nullable<Timestamptz>,
        withdrawn_at -> Nullable<Timestamptz>,
        decided_by -> Nullable<Uuid>,
    }
}

diesel::table! {
    mail_opt_outs (user_id, type_) {
        user_id -> Uuid,
        #[sql_name = "type"]
        type_ -> Text,
    }
}

diesel::table! {
    mail_outbox (id) {
        id -> Uuid,
        recipient -> Text,
        locale -> Text,
        message -> Jsonb,
        created_at -> Timestamptz,
        next_attempt_at -> Timestamptz,
        attempts -> Int4,
        last_error -> Nullable<Text>,
        sent_at -> Nullable<Timestamptz>,
        failed_at -> Nullable<Timestamptz>,
        open_to_merge -> Bool,
        merged -> Int4,
    }
}

diesel::table! {
    mail_requests (id) {
        id -> Int8,
        recipient -> Text,
        is_reset -> Bool,
        user_id -> Nullable<Uuid>,
        org_id -> Nullable<Uuid>,
        network -> Nullable<Cidr>,
        is_admitted -> Bool,
        requested_at -> Timestamptz,
    }
}

diesel::table! {
    memberships (id) {
        id -> Uuid,
        org_id -> Uuid,
        user_id -> Uuid,
        role -> Text,
        disabled_services -> Array<Text>,
        version -> Int8,
        joined_at -> Timestamptz,
    }
}

diesel::table! {
    notifications (id) {
        id -> Uuid,
        user_id -> Uuid,
        #[sql_name = "type"]
        type_ -> Text,
        data -> Jsonb,
        invitation_id -> Nullable<Uuid>,
        join_request_id -> Nullable<Uuid>,
        email_change_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
        read_at -> Nullable<Timestamptz>,
        resolved_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    one_time_tokens (id) {
        id -> Uuid,
        purpose -> Text,
        token_hash -> Bytea,
        registration_id -> Nullable<Uuid>,
        user_id -> Nullable<Uuid>,
        email_change_id -> Nullable<Uuid>,
        invitation_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
        invalidated_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    orgs (id) {
        id -> Uuid,
        name -> Text,
        slug -> Text,
        description -> Nullable<Text>,
        logo_id -> Nullable<Uuid>,
        join_policy -> Text,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    password_attempts (id) {
        id -> Int8,
        throttle_key -> Bytea,
        network -> Cidr,
        attempted_at -> Timestamptz,
    }
}

diesel::table! {
    registrations (id) {
        id -> Uuid,
        email -> Text,
        password_hash -> Text,
        nickname -> Nullable<Text>,
        locale -> Text,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        user_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    released_usernames (username) {
        username -> Text,
        user_id -> Nullable<Uuid>,
        released_at -> Timestamptz,
    }
}

diesel::table! {
    sessions (id) {
        id -> Uuid,
        user_id -> Uuid,
        org_id -> Nullable<Uuid>,
        user_agent -> Nullable<Text>,
        device -> Text,
        ip -> Inet,
        created_at -> Timestamptz,
        authenticated_at -> Timestamptz,
        last_used_at -> Timestamptz,
        expires_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
        end_reason -> Nullable<Text>,
        refresh_generation -> Int4,
        refreshed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    users (id) {
        id -> Uuid,
        email -> Text,
        email_verified_at -> Nullable<Timestamptz>,
        password_hash -> Nullable<Text>,
        password_changed_at -> Nullable<Timestamptz>,
        username -> Nullable<Text>,
        nickname -> Nullable<Text>,
        role -> Text,
        locale -> Text,
        time_zone -> Text,
        avatar_id -> Nullable<Uuid>,
        last_org_id -> Nullable<Uuid>,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        last_login_at -> Nullable<Timestamptz>,
        disabled_at -> Nullable<Timestamptz>,
    }
}

diesel::joinable!(api_key_reminders -> api_keys (api_key_id));
diesel::joinable!(api_key_secrets -> api_keys (api_key_id));
diesel::joinable!(api_key_usage -> api_keys (api_key_id));
diesel::joinable!(api_keys -> memberships (membership_id));
diesel::joinable!(api_keys -> orgs (org_id));
diesel::joinable!(api_keys -> users (user_id));
diesel::joinable!(email_changes -> users (user_id));
diesel::joinable!(idempotency_keys -> users (user_id));
diesel::joinable!(invitations -> orgs (org_id));
diesel::joinable!(join_requests -> orgs (org_id));
diesel::joinable!(mail_opt_outs -> users (user_id));
diesel::joinable!(memberships -> orgs (org_id));
diesel::joinable!(memberships -> users (user_id));
diesel::joinable!(notifications -> email_changes (email_change_id));
diesel::joinable!(notifications -> invitations (invitation_id));
diesel::joinable!(notifications -> join_requests (join_request_id));
diesel::joinable!(notifications -> users (user_id));
diesel::joinable!(one_time_tokens -> email_changes (email_change_id));
diesel::joinable!(one_time_tokens -> invitations (invitation_id));
diesel::joinable!(one_time_tokens -> registrations (registration_id));
diesel::joinable!(one_time_tokens -> users (user_id));
diesel::joinable!(orgs -> images (logo_id));
diesel::joinable!(registrations -> users (user_id));
diesel::joinable!(released_usernames -> users (user_id));
diesel::joinable!(sessions -> orgs (org_id));
diesel::joinable!(sessions -> users (user_id));
diesel::joinable!(users -> images (avatar_id));
diesel::joinable!(users -> orgs (last_org_id));

diesel::allow_tables_to_appear_in_same_query!(
    api_key_reminders,
    api_key_secrets,
    api_key_usage,
    api_keys,
    audit_counts,
    audit_log,
    deployment,
    email_changes,
    idempotency_keys,
    images,
    invitations,
    join_requests,
    mail_opt_outs,
    mail_outbox,
    mail_requests,
    memberships,
    notifications,
    one_time_tokens,
    orgs,
    password_attempts,
    registrations,
    released_usernames,
    sessions,
    users,
);
