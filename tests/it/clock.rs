//! A wall clock that is set back.

use chrono::TimeDelta;
use keyward::app::{retention, worker};
use serde_json::json;

use crate::support::{PASSWORD, TestApp};

#[actix_web::test]
async fn people_and_keys_keep_working_when_the_clock_goes_back_by_an_hour() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({"scopes": ["me:read"]})).await;
    let wrong = json!({"login": "ada", "password": "wrong"});
    app.post("/auth/login", &wrong)
        .await
        .refused(401, "invalid_credentials");

    app.advance(TimeDelta::hours(-1));
    app.get("/me").bearer(&key.secret).await.expect(200);
    // Signed in the future: a client refreshes it.
    app.get("/me")
        .bearer(&ada.access_token)
        .await
        .refused(401, "invalid_token");
    let refreshed = app
        .post("/auth/refresh", &json!({"refresh_token": ada.refresh_token}))
        .await
        .expect(200);
    let access = refreshed["access_token"].as_str().unwrap();
    app.get("/me").bearer(access).await.expect(200);
    app.post("/auth/login", &wrong)
        .await
        .refused(401, "invalid_credentials");
    let tokens = app.log_in("ada", PASSWORD).await;
    let access = tokens["access_token"].as_str().unwrap();
    for path in ["/auth/sessions", "/api-keys", "/notifications", "/orgs", "/me/export"] {
        let reply = app.get(path).bearer(access).send().await;
        assert_eq!(reply.status, 200, "{path}");
    }
    let fields = json!({"name": "later", "current_password": PASSWORD});
    app.post("/api-keys", &fields).bearer(access).await.expect(201);
    app.delete(&key.path()).bearer(access).await.expect(204);
    app.get("/me").bearer(&key.secret).await.refused(401, "invalid_token");
    let registration = json!({"email": "bob@example.com", "password": PASSWORD});
    app.post("/auth/register", &registration).await.expect(202);
    let token = app.last_mail_to("bob@example.com").await.token("verify-email");
    let proof = json!({"token": token, "password": PASSWORD});
    app.post("/auth/verify-email", &proof).await.expect(204);
    worker::remind(&app.state).await.unwrap();
    worker::write_audit_counts(&app.state).await.unwrap();
    retention::sweep(&app.state).await.unwrap();
    keyward::api_keys::flush_usage(&app.state).await.unwrap();

    app.advance(TimeDelta::hours(1));
    app.get("/me").bearer(&ada.access_token).await.expect(200);
    app.log_in("ada", PASSWORD).await;
}
