use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Key, PASSWORD, Person, Reply, ScopesFile, TestApp, eventually};

fn instant(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

async fn works(app: &TestApp, secret: &str) -> bool {
    let reply = app.get("/api-keys/current").bearer(secret).await;
    if reply.status != 200 {
        reply.refused(401, "invalid_token");
    }
    reply.status == 200
}

async fn patch(app: &TestApp, person: &Person, key: &Key, body: Value) -> Reply {
    app.patch(&key.path(), &body).bearer(&person.access_token).await
}

async fn rotate(app: &TestApp, person: &Person, key: &Key, grace: i64) -> Reply {
    let body = json!({"grace_seconds": grace, "current_password": PASSWORD});
    app.post(&format!("{}/rotate", key.path()), &body)
        .bearer(&person.access_token)
        .await
}

async fn get_key(app: &TestApp, person: &Person, key: &Key) -> Value {
    app.get(&key.path()).bearer(&person.access_token).await.expect(200)
}

#[actix_web::test]
async fn an_update_changes_the_given_fields_and_the_etag() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let key = app
        .key(&ada, json!({"scopes": ["me:read", "orgs:read"], "remark": "r"}))
        .await;
    let same = patch(&app, &ada, &key, json!({})).await;
    assert_eq!(same.header("etag"), Some("\"1\""));
    let body = json!({"name": "new", "remark": null, "scopes": ["orgs:read"], "allowed_ips": ["10.0.0.0/8", "::ffff:127.0.0.1"]});
    let reply = patch(&app, &ada, &key, body).await;
    assert_eq!(reply.header("etag"), Some("\"2\""));
    let read = reply.expect(200);
    assert_eq!((&read["name"], &read["remark"]), (&json!("new"), &Value::Null));
    assert_eq!(read["allowed_ips"], json!(["10.0.0.0/8", "127.0.0.1/32"]));
    assert_eq!(read["scopes"], json!(["orgs:read"]));
    let stale = app
        .patch(&key.path(), &json!({"name": "other"}))
        .bearer(&ada.access_token)
        .header("if-match", "\"1\"")
        .await;
    stale.refused(412, "precondition_failed");
    assert_eq!(get_key(&app, &ada, &key).await["name"], "new");
    patch(&app, &ada, &key, json!({"id": "x", "name": null}))
        .await
        .invalid(&[("#/id", "unknown_field"), ("#/name", "invalid_type")]);
    assert_eq!(app.records_of("api_key.updated"), 1);
}

#[actix_web::test]
async fn a_disabled_key_works_again_after_it_is_enabled() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({})).await;
    let off = patch(&app, &ada, &key, json!({"enabled": false})).await.expect(200);
    assert_eq!((&off["status"], &off["enabled"]), (&json!("disabled"), &json!(false)));
    assert!(!works(&app, &key.secret).await);
    patch(&app, &ada, &key, json!({"enabled": true})).await.expect(200);
    assert!(works(&app, &key.secret).await);
}

#[actix_web::test]
async fn adding_scopes_needs_a_fresh_password_and_removing_them_does_not() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({"scopes": ["me:read", "orgs:read"]})).await;
    app.advance(TimeDelta::minutes(9));
    patch(&app, &ada, &key, json!({"scopes": ["me:read", "me:write"]}))
        .await
        .expect(200);
    app.advance(TimeDelta::seconds(61));
    let wider = json!({"scopes": ["me:read", "me:write", "keys:read"]});
    let refused = patch(&app, &ada, &key, wider.clone()).await;
    refused.refused(401, "reauthentication_required");
    assert!(refused.header("www-authenticate").unwrap().contains("max_age=600"));
    let mut wrong = wider.clone();
    wrong["current_password"] = json!("wrong");
    patch(&app, &ada, &key, wrong)
        .await
        .invalid(&[("#/current_password", "incorrect")]);
    patch(&app, &ada, &key, json!({"scopes": ["me:read"]}))
        .await
        .expect(200);
    let mut right = wider;
    right["current_password"] = json!(PASSWORD);
    patch(&app, &ada, &key, right).await.expect(200);
    patch(
        &app,
        &ada,
        &key,
        json!({"scopes": ["me:read", "keys:verify"], "name": ""}),
    )
    .await
    .invalid(&[("#/scopes/1", "not_allowed"), ("#/name", "too_short")]);
}

#[actix_web::test]
async fn an_extension_starts_at_the_expiry_or_now() {
    let app = TestApp::start_with(&[
        ("KEYWARD_KEY_MAX_LIFETIME_DAYS", "40"),
        ("KEYWARD_ACCESS_TOKEN_SECONDS", "86400"),
    ]);
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({"expires_in_days": 10})).await;
    let extend = |days: i64| {
        app.post(
            &format!("{}/extend", key.path()),
            &json!({"days": days, "current_password": PASSWORD}),
        )
        .bearer(&ada.access_token)
    };
    let before = instant(&key.body["expires_at"]);
    let read = extend(5).await.expect(200);
    assert_eq!(instant(&read["expires_at"]), before + TimeDelta::days(5));
    extend(26).await.invalid(&[("#/days", "out_of_range")]);
    extend(0).await.invalid(&[("#/days", "out_of_range")]);
    app.sql("UPDATE api_keys SET expires_at = now() - interval '3 days'");
    assert!(!works(&app, &key.secret).await);
    assert_eq!(get_key(&app, &ada, &key).await["status"], "expired");
    let now = app.state.clock.now();
    let read = extend(1).await.expect(200);
    assert!((instant(&read["expires_at"]) - now - TimeDelta::days(1)).num_seconds() < 5);
    assert!(works(&app, &key.secret).await);
    assert_eq!(app.records_of("api_key.extended"), 2);
}

#[actix_web::test]
async fn a_key_without_an_expiry_gets_the_maximum_lifetime_if_one_is_set() {
    let app = TestApp::start_with(&[("KEYWARD_KEY_MAX_LIFETIME_DAYS", "40")]);
    let ada = app.person("ada").await;
    let now = app.state.clock.now();
    let key = app.key(&ada, json!({})).await;
    let expires_at = instant(&key.body["expires_at"]);
    assert!((expires_at - now - TimeDelta::days(40)).num_seconds().abs() < 5);
    let unlimited = TestApp::start();
    let ada = unlimited.person("ada").await;
    let key = unlimited.key(&ada, json!({})).await;
    assert_eq!(key.body["expires_at"], json!(null));
    unlimited
        .post(&format!("{}/extend", key.path()), &json!({"days": 1}))
        .bearer(&ada.access_token)
        .await
        .refused(409, "key_never_expires");
    assert_eq!(unlimited.records_of("api_key.extended"), 0);
}

#[actix_web::test]
async fn an_extension_needs_a_fresh_password() {
    let app = TestApp::start_with(&[("KEYWARD_ACCESS_TOKEN_SECONDS", "86400")]);
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({"expires_in_days": 10})).await;
    let extend = || {
        app.post(&format!("{}/extend", key.path()), &json!({"days": 1}))
            .bearer(&ada.access_token)
    };
    app.advance(TimeDelta::minutes(11));
    let token = app
        .post("/auth/refresh", &json!({"refresh_token": ada.refresh_token}))
        .await
        .expect(200);
    let stale = || app.post(&format!("{}/extend", key.path()), &json!({"days": 1}));
    stale()
        .bearer(token["access_token"].as_str().unwrap())
        .await
        .refused(401, "reauthentication_required");
    // The older token was issued when the session was fresh; the session's row decides.
    extend().await.refused(401, "reauthentication_required");
    assert_eq!(get_key(&app, &ada, &key).await["expires_at"], key.body["expires_at"]);
}

#[actix_web::test]
async fn after_a_rotation_the_previous_secret_works_for_the_grace_period() {
    let app = TestApp::start_with(&[("KEYWARD_ACCESS_TOKEN_SECONDS", "86400")]);
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({"scopes": ["me:read"]})).await;
    let first = rotate(&app, &ada, &key, 60).await.expect(201);
    assert_eq!(first["id"], key.id.as_str());
    let second_secret = first["secret"].as_str().unwrap().to_owned();
    assert_ne!(second_secret, key.secret);
    assert_eq!(first["hint"], second_secret[..7]);
    let left = instant(&first["previous_secret_expires_at"]) - app.state.clock.now();
    assert!((55..=60).contains(&left.num_seconds()));
    assert!(works(&app, &key.secret).await && works(&app, &second_secret).await);
    // A second rotation ends the oldest of three secrets.
    let second = rotate(&app, &ada, &key, 60).await.expect(201);
    let third_secret = second["secret"].as_str().unwrap().to_owned();
    assert!(!works(&app, &key.secret).await);
    assert!(works(&app, &second_secret).await && works(&app, &third_secret).await);
    app.advance(TimeDelta::seconds(61));
    assert!(!works(&app, &second_secret).await);
    assert!(works(&app, &third_secret).await);
    assert_eq!(
        get_key(&app, &ada, &key).await["previous_secret_expires_at"],
        Value::Null
    );
    let last = rotate(&app, &ada, &key, 0).await.expect(201);
    assert!(!works(&app, &third_secret).await);
    assert!(works(&app, last["secret"].as_str().unwrap()).await);
    assert_eq!(app.records_of("api_key.rotated"), 3);
}

#[actix_web::test]
async fn the_owner_is_notified_of_a_rotation() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({"name": "fetcher"})).await;
    let rotated = rotate(&app, &ada, &key, 60).await.expect(201);
    let page = app
        .get("/notifications?type=api_key_rotated")
        .bearer(&ada.access_token)
        .await
        .expect(200);
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        page["data"][0]["data"],
        json!({
            "api_key_id": key.id,
            "name": "fetcher",
            "hint": rotated["hint"],
            "previous_secret_expires_at": rotated["previous_secret_expires_at"],
        })
    );
    let mail = app.last_mail_to(&ada.email).await;
    assert_eq!(mail.subject, "An API key was rotated");
    assert!(mail.text.contains("fetcher") && mail.text.contains(rotated["hint"].as_str().unwrap()));
    assert!(!mail.text.contains(rotated["secret"].as_str().unwrap()));
    // It may be the work of an attacker, so its e-mail can't be switched off.
    app.request("PUT", "/notifications/preferences")
        .json(&json!({"mail": {"api_key_rotated": false}}))
        .bearer(&ada.access_token)
        .await
        .invalid(&[("#/mail/api_key_rotated", "not_allowed")]);
    rotate(&app, &ada, &key, 604_801).await.refused(422, "validation_error");
    assert_eq!(
        app.number("SELECT count(*) FROM notifications WHERE type = 'api_key_rotated'"),
        1
    );
}

#[actix_web::test]
async fn the_previous_secret_expires_with_the_key() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({"expires_in_days": 1})).await;
    let rotated = rotate(&app, &ada, &key, 604_800).await.expect(201);
    assert_eq!(rotated["previous_secret_expires_at"], key.body["expires_at"]);
    app.sql("UPDATE api_keys SET expires_at = now() - interval '1 second'");
    rotate(&app, &ada, &key, 60).await.refused(409, "invalid_state");
    assert_eq!(app.number("SELECT count(*) FROM api_key_secrets"), 2);
    let path = format!("{}/rotate", key.path());
    let call = |body: Value| app.post(&path, &body).bearer(&ada.access_token);
    call(json!({"grace_seconds": 604_801}))
        .await
        .invalid(&[("#/grace_seconds", "out_of_range"), ("#/current_password", "required")]);
}

#[actix_web::test]
async fn concurrent_rotations_leave_two_secrets() {
    let app = TestApp::start_with(&[("KEYWARD_RATE_LIMITS", "off")]);
    let second = app.another();
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({})).await;
    let calls = (0..50).map(|n| rotate(if n % 2 == 0 { &app } else { &second }, &ada, &key, 600));
    let mut secrets = Vec::new();
    for reply in join_all(calls).await {
        secrets.push(reply.expect(201)["secret"].as_str().unwrap().to_owned());
    }
    assert_eq!(app.number("SELECT count(*) FROM api_key_secrets"), 2);
    let mut working = 0;
    for secret in &secrets {
        working += usize::from(works(&app, secret).await);
    }
    assert_eq!(working, 2);
}

#[actix_web::test]
async fn one_of_several_concurrent_deletions_succeeds() {
    let app = TestApp::start();
    let second = app.another();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let key = app.key(&ada, json!({})).await;
    let foreign = app.delete(&key.path()).bearer(&bob.access_token).await;
    let random = app
        .delete(&format!("/api-keys/{}", uuid::Uuid::now_v7()))
        .bearer(&bob.access_token)
        .await;
    foreign.refused(404, "not_found");
    assert_eq!(foreign.without_request_id(), random.without_request_id());
    assert!(works(&app, &key.secret).await);
    let calls = (0..50).map(|n| {
        let app = if n % 2 == 0 { &app } else { &second };
        app.delete(&key.path()).bearer(&ada.access_token).send()
    });
    let replies = join_all(calls).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 204).count(), 1);
    assert_eq!(replies.iter().filter(|reply| reply.status == 404).count(), 49);
    assert!(!works(&app, &key.secret).await);
    assert_eq!(app.records_of("api_key.deleted"), 1);
}

#[actix_web::test]
async fn several_keys_are_deleted_and_unknown_ids_are_reported() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let (one, two, kept) = (
        app.key(&ada, json!({})).await,
        app.key(&ada, json!({})).await,
        app.key(&ada, json!({})).await,
    );
    let foreign = app.key(&bob, json!({})).await;
    let body = json!({"ids": [one.id, foreign.id, "nonsense", two.id, one.id]});
    let answer = app
        .post("/api-keys/delete", &body)
        .bearer(&ada.access_token)
        .await
        .expect(200);
    assert_eq!(
        answer,
        json!({"deleted": [one.id, two.id], "not_found": [foreign.id, "nonsense"]})
    );
    assert!(works(&app, &kept.secret).await && works(&app, &foreign.secret).await);
    assert!(!works(&app, &one.secret).await && !works(&app, &two.secret).await);
    assert_eq!(app.records_of("api_key.deleted"), 2);
    let call = |ids: Value| {
        app.post("/api-keys/delete", &json!({"ids": ids}))
            .bearer(&ada.access_token)
    };
    call(json!([])).await.invalid(&[("#/ids", "too_short")]);
    call(json!(vec!["x"; 101])).await.invalid(&[("#/ids", "too_long")]);
}

#[actix_web::test]
async fn a_key_can_read_and_revoke_itself_and_the_owner_is_notified() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({"name": "leaked"})).await;
    let read = app.get("/api-keys/current").bearer(&key.secret).await.expect(200);
    assert_eq!(read["id"], key.id.as_str());
    app.get("/api-keys/current")
        .bearer(&ada.access_token)
        .await
        .refused(403, "api_key_required");
    app.delete("/api-keys/current").bearer(&key.secret).await.expect(204);
    assert!(!works(&app, &key.secret).await);
    assert!(app.last_mail_to("ada@example.com").await.text.contains("leaked"));
    assert_eq!(app.records_of("api_key.revoked"), 1);
    let notified = "SELECT count(*) FROM notifications WHERE type = 'api_key_revoked'";
    assert_eq!(app.number(notified), 1);
}

#[actix_web::test]
async fn a_key_works_from_its_allowed_networks_only() {
    let app = TestApp::start_with(&[("KEYWARD_TRUSTED_PROXIES", "127.0.0.1")]);
    let ada = app.person("ada").await;
    let key = app
        .key(&ada, json!({"allowed_ips": ["203.0.113.0/24", "2001:db8::/32"]}))
        .await;
    let from = |ip: &str| {
        app.get("/api-keys/current")
            .bearer(&key.secret)
            .header("x-forwarded-for", ip)
    };
    for ip in ["203.0.113.200", "::ffff:203.0.113.1", "2001:db8:1::1"] {
        from(ip).await.expect(200);
    }
    for ip in ["203.0.114.1", "2001:db9::1", "::1"] {
        from(ip).await.refused(403, "ip_not_allowed");
    }
    // An endpoint that needs no credential ignores a bad one.
    app.get("/scopes").bearer(&key.secret).await.expect(200);
}

#[actix_web::test]
async fn a_malformed_key_is_rejected_without_a_query() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({})).await;
    app.sql("ALTER TABLE api_key_secrets RENAME TO gone");
    let mut wrong = key.secret.clone();
    let last = if wrong.ends_with('0') { '1' } else { '0' };
    wrong.pop();
    wrong.push(last);
    for credential in [wrong.as_str(), "kw_", "kw_short", "nonsense", "a.b.c"] {
        app.get("/me").bearer(credential).await.refused(401, "invalid_token");
    }
}

#[actix_web::test]
async fn without_the_feature_no_key_is_accepted() {
    let app = TestApp::start();
    let without = app.another_with(&[("KEYWARD_FEATURES_OFF", "api_keys")]);
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({"scopes": ["me:read"]})).await;
    assert!(works(&app, &key.secret).await);
    for path in ["/me", "/auth/forward"] {
        without
            .get(path)
            .bearer(&key.secret)
            .await
            .refused(401, "invalid_token");
    }
    without.get("/me").bearer(&ada.access_token).await.expect(200);
}

#[actix_web::test]
async fn a_disabled_owner_suspends_a_key_and_a_lost_membership_does_so_for_good() {
    let file = ScopesFile::usual();
    let app = TestApp::start_with(&[("KEYWARD_SCOPES_FILE", file.path())]);
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org_of("acme", &[(&ada, "owner"), (&bob, "member")]);
    let key = app
        .key(
            &bob,
            json!({"org_id": org.to_string(), "scopes": ["data:write", "me:read"]}),
        )
        .await;
    app.sql(&format!("UPDATE users SET disabled_at = now() WHERE id = '{}'", bob.id));
    eventually(async || !works(&app, &key.secret).await).await;
    app.sql(&format!("UPDATE users SET disabled_at = NULL WHERE id = '{}'", bob.id));
    eventually(async || works(&app, &key.secret).await).await;
    app.leave_org(org, &bob);
    eventually(async || !works(&app, &key.secret).await).await;
    app.join_org(org, &bob, "owner");
    assert!(!works(&app, &key.secret).await);
    let read = get_key(&app, &bob, &key).await;
    assert_eq!(
        (&read["status"], &read["status_reason"]),
        (&json!("suspended"), &json!("not_a_member"))
    );
    assert_eq!(read["effective_scopes"], json!([]));
    rotate(&app, &bob, &key, 0).await.refused(409, "invalid_state");
    let personal = app.key(&bob, json!({})).await;
    assert!(works(&app, &personal.secret).await);
}

#[actix_web::test]
async fn a_demotion_or_disabled_service_removes_effective_scopes() {
    let file = ScopesFile::usual();
    let app = TestApp::start_with(&[("KEYWARD_SCOPES_FILE", file.path())]);
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org_of("acme", &[(&ada, "owner"), (&bob, "admin")]);
    let scopes = json!(["data:erase", "data:write", "mail:send", "me:read"]);
    let key = app
        .key(&bob, json!({"org_id": org.to_string(), "scopes": scopes}))
        .await;
    let effective =
        async || app.get("/api-keys/current").bearer(&key.secret).await.expect(200)["effective_scopes"].clone();
    eventually(async || effective().await == scopes).await;
    app.sql(&format!(
        "UPDATE memberships SET role = 'member' WHERE user_id = '{}'",
        bob.id
    ));
    eventually(async || effective().await == json!(["data:write", "mail:send", "me:read"])).await;
    app.sql(&format!(
        "UPDATE memberships SET disabled_services = '{{data}}' WHERE user_id = '{}'",
        bob.id
    ));
    eventually(async || effective().await == json!(["mail:send", "me:read"])).await;
    app.sql(&format!(
        "UPDATE memberships SET role = 'owner' WHERE user_id = '{}'",
        bob.id
    ));
    app.sql("UPDATE memberships SET disabled_services = '{}'");
    eventually(async || effective().await == scopes).await;
}

#[actix_web::test]
async fn the_challenge_names_the_missing_scope() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({"scopes": ["keys:read"]})).await;
    let refused = app.get("/me").bearer(&key.secret).await;
    refused.refused(403, "insufficient_scope");
    assert!(
        refused
            .header("www-authenticate")
            .unwrap()
            .contains("scope=\"me:read\"")
    );
    app.get("/api-keys").bearer(&key.secret).await.expect(200);
    for (method, path) in [("DELETE", key.path()), ("GET", "/auth/sessions".to_owned())] {
        app.request(method, &path)
            .bearer(&key.secret)
            .await
            .refused(403, "session_required");
    }
    patch_with_key(&app, &key).await;
}

async fn patch_with_key(app: &TestApp, key: &Key) {
    app.patch(&key.path(), &json!({"name": "x"}))
        .bearer(&key.secret)
        .await
        .refused(403, "session_required");
    assert!(works(app, &key.secret).await);
}
