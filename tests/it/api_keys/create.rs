use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::{PASSWORD, ScopesFile, TestApp};

fn instant(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

#[actix_web::test]
async fn creation_returns_the_secret_once_and_notifies_the_owner() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let reply = app
        .create_key(
            &ada,
            json!({"scopes": ["me:read", "me:read"], "remark": "Böse\nMächte"}),
        )
        .await;
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(
        reply.header("location"),
        Some(format!("http://keyward.test/api-keys/{id}").as_str())
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let mut body = reply.expect(201);
    let secret = body["secret"].as_str().unwrap().to_owned();
    assert_eq!(body["hint"], secret[..7]);
    assert_eq!(body["scopes"], json!(["me:read"]));
    assert_eq!(body["effective_scopes"], json!(["me:read"]));
    assert_eq!((&body["org"], &body["expires_at"]), (&Value::Null, &Value::Null));
    assert_eq!((&body["status"], &body["enabled"]), (&json!("active"), &json!(true)));
    app.get("/me").bearer(&secret).await.expect(200);

    let read = app.get(&format!("/api-keys/{id}")).bearer(&ada.access_token).await;
    assert!(!read.text().contains(&secret));
    let mut read = read.expect(200);
    body.as_object_mut().unwrap().remove("secret");
    for changing in ["last_used_at", "last_used_ip"] {
        body[changing] = Value::Null;
        read[changing] = Value::Null;
    }
    assert_eq!(read, body);
    let mail = app.last_mail_to("ada@example.com").await;
    assert!(mail.text.contains("a key") && !mail.text.contains(&secret[7..]));
    assert_eq!(app.records_of("api_key.created"), 1);
    let notified = "SELECT count(*) FROM notifications WHERE type = 'api_key_created'";
    assert_eq!(app.number(notified), 1);
    let stored = format!("SELECT count(*) FROM api_key_secrets WHERE encode(secret_hash, 'escape') LIKE '%{secret}%'");
    assert_eq!(app.number(&stored), 0);
}

#[actix_web::test]
async fn creation_needs_a_session_and_the_password() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    app.post("/api-keys", &json!({"name": "a"}))
        .bearer(&ada.access_token)
        .await
        .invalid(&[("#/current_password", "required")]);
    app.post("/api-keys", &json!({"name": "a", "current_password": "wrong"}))
        .bearer(&ada.access_token)
        .await
        .invalid(&[("#/current_password", "incorrect")]);
    let key = app.key(&ada, json!({"scopes": ["keys:read", "me:write"]})).await;
    app.post("/api-keys", &json!({"name": "a", "current_password": PASSWORD}))
        .bearer(&key.secret)
        .await
        .refused(403, "session_required");
    assert_eq!(app.number("SELECT count(*) FROM api_keys"), 1);
}

#[actix_web::test]
async fn creation_reports_all_errors_at_once() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    app.create_key(
        &ada,
        json!({"name": "", "scopes": [1], "expires_at": "soon", "allowed_ips": ["10.0.0.0/33"], "user_id": "x"}),
    )
    .await
    .invalid(&[
        ("#/name", "too_short"),
        ("#/scopes/0", "invalid_type"),
        ("#/expires_at", "invalid_format"),
        ("#/allowed_ips/0", "invalid_format"),
        ("#/user_id", "unknown_field"),
    ]);
    app.create_key(
        &ada,
        json!({"scopes": ["me:read", "data:read", "keys:verify"], "expires_at": "2020-01-01T00:00:00Z"}),
    )
    .await
    .invalid(&[
        ("#/scopes/1", "not_allowed"),
        ("#/scopes/2", "not_allowed"),
        ("#/expires_at", "out_of_range"),
    ]);
    app.create_key(
        &ada,
        json!({"name": "", "scopes": ["nope"], "expires_in_days": 0, "x": 1}),
    )
    .await
    .invalid(&[
        ("#/scopes/0", "not_allowed"),
        ("#/expires_in_days", "out_of_range"),
        ("#/name", "too_short"),
        ("#/x", "unknown_field"),
    ]);
    for days in [i64::MIN, -1, 0, 3651, i64::MAX] {
        let reply = app.create_key(&ada, json!({"expires_in_days": days})).await;
        reply.invalid(&[("#/expires_in_days", "out_of_range")]);
        assert_eq!(reply.json()["errors"][0]["params"], json!({"min": 1, "max": 3650}));
    }
    app.create_key(
        &ada,
        json!({"expires_in_days": 1, "expires_at": "2999-01-01T00:00:00Z"}),
    )
    .await
    .invalid(&[("#/expires_in_days", "not_allowed")]);
    app.create_key(&ada, json!({"scopes": ["a\u{0}"]}))
        .await
        .invalid(&[("#/scopes/0", "invalid_format")]);
    assert_eq!(app.number("SELECT count(*) FROM api_keys"), 0);
    assert_eq!(app.number("SELECT count(*) FROM mail_outbox"), 0);
}

#[actix_web::test]
async fn an_expiry_is_an_instant_or_a_number_of_days() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let at = app.state.clock.now() + TimeDelta::hours(5);
    let key = app.key(&ada, json!({"expires_at": at.to_rfc3339()})).await;
    assert_eq!(instant(&key.body["expires_at"]), at);
    let key = app.key(&ada, json!({"expires_in_days": 30})).await;
    let days = instant(&key.body["expires_at"]) - instant(&key.body["created_at"]);
    assert_eq!(days, TimeDelta::days(30));
    app.advance(TimeDelta::days(30) - TimeDelta::minutes(1));
    app.get("/api-keys/current").bearer(&key.secret).await.expect(200);
    app.advance(TimeDelta::minutes(1));
    app.get("/api-keys/current")
        .bearer(&key.secret)
        .await
        .refused(401, "invalid_token");
}

#[actix_web::test]
async fn a_key_cannot_be_granted_scopes_that_its_owner_may_not_use() {
    let file = ScopesFile::usual();
    let app = TestApp::start_with(&[("KEYWARD_SCOPES_FILE", file.path())]);
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let grace = app.admin("grace").await;
    let org = app.org_of("acme", &[(&ada, "owner"), (&bob, "member")]);
    let request = |scope: &str, org: Option<String>| match org {
        Some(org) => json!({"scopes": [scope], "org_id": org}),
        None => json!({"scopes": [scope]}),
    };
    let in_org = Some(org.to_string());
    for (person, scope, org, allowed) in [
        (&ada, "data:erase", in_org.clone(), true),
        (&bob, "data:erase", in_org.clone(), false),
        (&bob, "data:write", in_org.clone(), true),
        (&bob, "data:write", None, false),
        (&bob, "data:read", None, true),
        (&bob, "tokens:introspect", None, false),
        (&grace, "tokens:introspect", None, true),
    ] {
        let reply = app.create_key(person, request(scope, org)).await;
        if allowed {
            reply.expect(201);
        } else {
            reply.invalid(&[("#/scopes/0", "not_allowed")]);
        }
    }
    app.sql(&format!(
        "UPDATE memberships SET disabled_services = '{{data}}' WHERE user_id = '{}'",
        bob.id
    ));
    app.create_key(&bob, request("data:write", in_org.clone()))
        .await
        .invalid(&[("#/scopes/0", "not_allowed")]);
    app.create_key(&bob, request("mail:send", in_org)).await.expect(201);
}

#[actix_web::test]
async fn a_foreign_organisation_is_not_found() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org_of("acme", &[(&ada, "owner")]).to_string();
    let foreign = app.create_key(&bob, json!({"org_id": org})).await;
    let random = app.create_key(&bob, json!({"org_id": uuid::Uuid::now_v7()})).await;
    let malformed = app.create_key(&bob, json!({"org_id": "nonsense"})).await;
    foreign.refused(404, "not_found");
    assert_eq!(foreign.without_request_id(), random.without_request_id());
    assert_eq!(foreign.without_request_id(), malformed.without_request_id());
    let key = app.key(&ada, json!({"org_id": org})).await;
    assert_eq!(key.body["org"]["slug"], "acme");
}

#[actix_web::test]
async fn a_repeated_creation_returns_the_same_key_without_its_secret() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let call = || {
        app.create_key(&ada, json!({"name": "once"}))
            .header("idempotency-key", "k1")
    };
    let first = call().await;
    assert_eq!(first.header("idempotency-replayed"), None);
    let second = call().await;
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    let (first, second) = (first.expect(201), second.expect(201));
    assert_eq!(first["id"], second["id"]);
    assert_eq!(second["secret"], Value::Null);
    let calls = (0..8).map(|_| app.create_key(&ada, json!({})).header("idempotency-key", "k2").send());
    for reply in futures_util::future::join_all(calls).await {
        assert!(reply.status == 201 || reply.status == 409, "{}", reply.text());
    }
    assert_eq!(app.number("SELECT count(*) FROM api_keys"), 2);
    app.create_key(&ada, json!({"name": "other"}))
        .header("idempotency-key", "k1")
        .await
        .refused(422, "idempotency_key_reused");
}

#[actix_web::test]
async fn concurrent_creations_stop_at_a_hundred_keys() {
    let app = TestApp::start_with(&[("KEYWARD_RATE_LIMITS", "off")]);
    let second = app.another();
    let ada = app.person("ada").await;
    app.sql(&format!(
        "INSERT INTO api_keys (id, user_id, name, hint, scopes, created_at, updated_at, granted_at) \
         SELECT gen_random_uuid(), '{}', 'k' || n, 'kw_xxxx', '{{}}', now(), now(), now() FROM generate_series(1, 97) n",
        ada.id
    ));
    let calls = (0..20).map(|n| {
        let app = if n % 2 == 0 { &app } else { &second };
        app.create_key(&ada, json!({})).send()
    });
    let replies = futures_util::future::join_all(calls).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 3);
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        reply.refused(409, "limit_reached");
    }
    assert_eq!(app.number("SELECT count(*) FROM api_keys"), 100);
    assert_eq!(app.number("SELECT count(*) FROM api_key_secrets"), 3);
    assert_eq!(app.records_of("api_key.created"), 3);
}
