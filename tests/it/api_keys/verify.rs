use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{Call, Key, PASSWORD, ScopesFile, TestApp, eventually};

async fn gateway_key(app: &TestApp) -> Key {
    let grace = app.admin("grace").await;
    app.key(&grace, json!({"scopes": ["keys:verify"], "name": "gateway"}))
        .await
}

fn verify(app: &TestApp, gateway: &Key, body: Value) -> Call {
    app.post("/api-keys/verify", &body).bearer(&gateway.secret)
}

#[actix_web::test]
async fn a_valid_key_is_described() {
    let file = ScopesFile::usual();
    let app = TestApp::start_with(&[("KEYWARD_SCOPES_FILE", file.path())]);
    let gateway = gateway_key(&app).await;
    let ada = app.person("ada").await;
    let org = app.org_of("acme", &[(&ada, "admin")]);
    let fields =
        json!({"name": "cron", "org_id": org.to_string(), "scopes": ["data:erase", "me:read"], "expires_in_days": 9});
    let key = app.key(&ada, fields).await;
    let body = json!({"key": key.secret, "scopes": ["data:erase"], "ip": "203.0.113.1"});
    let answer = verify(&app, &gateway, body).await.expect(200);
    let expected = json!({
        "valid": true, "code": "valid", "key_id": key.id, "name": "cron",
        "user": {"id": ada.id, "username": "ada"},
        "org": {"id": org, "slug": "acme", "role": "admin"},
        "scopes": ["data:erase", "me:read"], "expires_at": key.body["expires_at"], "rotated": false,
    });
    assert_eq!(answer, expected);
    app.sql("UPDATE memberships SET role = 'member' WHERE role = 'admin'");
    let body = json!({"key": key.secret, "scopes": ["me:read", "data:erase"]});
    eventually(async || {
        let answer = verify(&app, &gateway, body.clone()).await.expect(200);
        answer["code"] == "insufficient_scope" && answer["scopes"] == json!(["me:read"]) && answer["valid"] == false
    })
    .await;
}

#[actix_web::test]
async fn every_reason_to_reject_a_key_has_its_code() {
    let app = TestApp::start();
    let gateway = gateway_key(&app).await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org_of("acme", &[(&ada, "owner"), (&bob, "member")]);
    let code = async |body: Value| {
        let answer = verify(&app, &gateway, body).await.expect(200);
        assert_eq!(answer["valid"], answer["code"] == "valid");
        if answer["code"] == "malformed" || answer["code"] == "unknown" {
            let null_fields = answer.as_object().unwrap().values().filter(|value| value.is_null());
            assert_eq!(null_fields.count(), 7);
        } else {
            assert!(answer["key_id"].is_string() && answer["scopes"].is_array());
        }
        answer["code"].as_str().unwrap().to_owned()
    };
    for malformed in [
        "",
        "nonsense",
        "kw_0",
        &ada.access_token,
        "sk_000000000000000000000000000000001vXtxm",
    ] {
        assert_eq!(code(json!({"key": malformed})).await, "malformed");
    }
    let unknown = "kw_000000000000000000000000000000001vXtxm";
    assert_eq!(code(json!({"key": unknown})).await, "unknown");
    let key = app
        .key(
            &ada,
            json!({"allowed_ips": ["10.0.0.0/8"], "scopes": ["me:read"], "expires_in_days": 2}),
        )
        .await;
    let with = |more: Value| {
        let mut body = json!({"key": key.secret});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    assert_eq!(code(with(json!({"ip": "10.1.1.1"}))).await, "valid");
    assert_eq!(code(with(json!({"ip": "::ffff:10.1.1.1"}))).await, "valid");
    assert_eq!(code(with(json!({"ip": "11.1.1.1"}))).await, "ip_not_allowed");
    assert_eq!(code(with(json!({}))).await, "ip_not_allowed");
    let scopes = json!({"ip": "10.1.1.1", "scopes": ["me:read", "me:write"]});
    assert_eq!(code(with(scopes)).await, "insufficient_scope");
    let patch = async |body: Value| {
        app.patch(&key.path(), &body)
            .bearer(&ada.access_token)
            .await
            .expect(200);
    };
    patch(json!({"enabled": false, "allowed_ips": []})).await;
    assert_eq!(code(with(json!({}))).await, "disabled");
    patch(json!({"enabled": true})).await;
    assert_eq!(code(with(json!({}))).await, "valid");
    app.advance(TimeDelta::days(2));
    assert_eq!(code(with(json!({}))).await, "expired");
    app.advance(TimeDelta::days(-2));
    let of_member = app.key(&bob, json!({"org_id": org.to_string()})).await;
    assert_eq!(code(json!({"key": of_member.secret})).await, "valid");
    app.leave_org(org, &bob);
    eventually(async || code(json!({"key": of_member.secret})).await == "suspended").await;
    app.delete(&key.path()).bearer(&ada.access_token).await.expect(204);
    assert_eq!(code(with(json!({}))).await, "unknown");
}

#[actix_web::test]
async fn the_previous_secret_of_a_rotated_key_is_reported() {
    let app = TestApp::start();
    let gateway = gateway_key(&app).await;
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({})).await;
    let rotated =
        async |secret: &str| verify(&app, &gateway, json!({"key": secret})).await.expect(200)["rotated"].clone();
    assert_eq!(rotated(&key.secret).await, json!(false));
    let body = json!({"grace_seconds": 60, "current_password": PASSWORD});
    let new = app
        .post(&format!("{}/rotate", key.path()), &body)
        .bearer(&ada.access_token)
        .await
        .expect(201);
    assert_eq!(rotated(&key.secret).await, json!(true));
    assert_eq!(rotated(new["secret"].as_str().unwrap()).await, json!(false));
    app.advance(TimeDelta::seconds(60));
    assert_eq!(rotated(&key.secret).await, Value::Null);
}

#[actix_web::test]
async fn a_caller_without_permission_gets_an_error_instead_of_a_verdict() {
    let app = TestApp::start();
    let gateway = gateway_key(&app).await;
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({"scopes": ["me:read"]})).await;
    let body = json!({"key": key.secret});
    app.post("/api-keys/verify", &body)
        .await
        .refused(401, "authentication_required");
    app.post("/api-keys/verify", &body)
        .bearer(&key.secret)
        .await
        .refused(403, "insufficient_scope");
    app.post("/api-keys/verify", &body)
        .bearer(&ada.access_token)
        .await
        .refused(403, "api_key_required");
    verify(&app, &gateway, json!({"scopes": "x", "ip": "nowhere"}))
        .await
        .invalid(&[
            ("#/key", "required"),
            ("#/scopes", "invalid_type"),
            ("#/ip", "invalid_format"),
        ]);
    // The scope is not effective once the owner is no longer a platform admin.
    verify(&app, &gateway, body.clone()).await.expect(200);
    app.sql("UPDATE users SET role = 'user'");
    eventually(async || {
        let reply = verify(&app, &gateway, body.clone()).await;
        if reply.status == 403 {
            reply.refused(403, "insufficient_scope");
        }
        reply.status == 403
    })
    .await;
}

#[actix_web::test]
async fn a_verification_is_never_replayed() {
    let app = TestApp::start();
    let gateway = gateway_key(&app).await;
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({})).await;
    let call = || verify(&app, &gateway, json!({"key": key.secret})).header("idempotency-key", "same");
    assert_eq!(call().await.expect(200)["code"], "valid");
    app.delete(&key.path()).bearer(&ada.access_token).await.expect(204);
    assert_eq!(call().await.expect(200)["code"], "unknown");
}
