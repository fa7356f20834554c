use serde_json::{Value, json};

use crate::support::{Call, Key, PASSWORD, ScopesFile, TestApp};

fn introspect(app: &TestApp, caller: &Key, form: &str) -> Call {
    app.request("POST", "/auth/introspect")
        .bearer(&caller.secret)
        .body("application/x-www-form-urlencoded", form.to_owned())
}

async fn caller(app: &TestApp) -> Key {
    let grace = app.admin("grace").await;
    app.key(&grace, json!({"scopes": ["tokens:introspect"]})).await
}

#[actix_web::test]
async fn a_key_is_described() {
    let file = ScopesFile::usual();
    let app = TestApp::start_with(&[("KEYWARD_SCOPES_FILE", file.path())]);
    let caller = caller(&app).await;
    let ada = app.person("ada").await;
    let org = app.org_of("acme", &[(&ada, "owner")]);
    let fields = json!({"org_id": org.to_string(), "scopes": ["data:read", "data:write"], "expires_in_days": 1});
    let key = app.key(&ada, fields).await;
    let found = introspect(
        &app,
        &caller,
        &format!("token={}&token_type_hint=access_token", key.secret),
    )
    .await
    .expect(200);
    let iat = found["iat"].as_i64().unwrap();
    let expected = json!({
        "active": true, "token_type": "api_key", "sub": ada.id, "username": "ada", "scope": "data:read data:write",
        "client_id": key.id, "iss": "http://keyward.test", "aud": "keyward", "iat": iat, "exp": iat + 86_400,
        "org_id": org, "org_role": "owner",
    });
    assert_eq!(found, expected);
}

#[actix_web::test]
async fn an_access_token_is_described() {
    let app = TestApp::start();
    let caller = caller(&app).await;
    let ada = app.person("ada").await;
    let found = introspect(&app, &caller, &format!("token={}", ada.access_token))
        .await
        .expect(200);
    let iat = found["iat"].as_i64().unwrap();
    let expected = json!({
        "active": true, "token_type": "access_token", "sub": ada.id, "username": "ada", "scope": null,
        "client_id": ada.session_id, "iss": "http://keyward.test", "aud": "keyward", "iat": iat, "exp": iat + 600,
        "org_id": null, "org_role": null,
    });
    assert_eq!(found, expected);
    app.request("POST", "/auth/logout")
        .bearer(&ada.access_token)
        .await
        .expect(204);
    let found = introspect(&app, &caller, &format!("token={}", ada.access_token))
        .await
        .expect(200);
    assert_eq!(found, json!({"active": false}));
}

#[actix_web::test]
async fn an_inactive_credential_is_not_described() {
    let app = TestApp::start();
    let caller = caller(&app).await;
    let ada = app.person("ada").await;
    let disabled = app.key(&ada, json!({})).await;
    app.patch(&disabled.path(), &json!({"enabled": false}))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    let limited = app.key(&ada, json!({"allowed_ips": ["10.0.0.0/8"]})).await;
    for token in [
        "nonsense",
        "",
        &ada.refresh_token,
        &disabled.secret,
        &limited.secret,
        "kw_000000000000000000000000000000001vXtxm",
    ] {
        let found = introspect(&app, &caller, &format!("token={token}")).await.expect(200);
        assert_eq!(found, json!({"active": false}), "{token}");
    }
    let allowed = introspect(&app, &caller, &format!("token={}&ip=10.0.0.1", limited.secret)).await;
    assert_eq!(allowed.expect(200)["active"], true);
}

#[actix_web::test]
async fn introspection_needs_the_scope_and_a_well_formed_request() {
    let app = TestApp::start();
    let caller = caller(&app).await;
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({})).await;
    let form = format!("token={}", key.secret);
    introspect(&app, &key, &form).await.refused(403, "insufficient_scope");
    introspect(&app, &caller, "").await.invalid(&[("token", "required")]);
    introspect(&app, &caller, "token=a&token=b")
        .await
        .invalid(&[("token", "invalid_format")]);
    app.post("/auth/introspect", &json!({"token": "a"}))
        .bearer(&caller.secret)
        .await
        .refused(415, "unsupported_media_type");
    let body: Value = json!({"grace_seconds": 60, "current_password": PASSWORD});
    let rotated = app
        .post(&format!("{}/rotate", key.path()), &body)
        .bearer(&ada.access_token)
        .await
        .expect(201);
    let expiry = |response: Value| response["exp"].clone();
    assert!(expiry(introspect(&app, &caller, &form).await.expect(200)).is_number());
    let form = format!("token={}", rotated["secret"].as_str().unwrap());
    assert!(expiry(introspect(&app, &caller, &form).await.expect(200)).is_null());
}
