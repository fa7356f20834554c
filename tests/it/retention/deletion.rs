//! Deleting an account to which very much belongs.

use serde_json::json;

use crate::support::{PASSWORD, TestApp};

#[actix_web::test]
async fn an_account_with_a_hundred_thousand_sessions_and_notifications_can_be_deleted() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    app.sql(&format!(
        "INSERT INTO sessions (id, user_id, device, ip, created_at, authenticated_at, last_used_at, expires_at) \
         SELECT gen_random_uuid(), '{id}', '', '192.0.2.1', now(), now(), now(), now() + interval '90 days' \
         FROM generate_series(1, 100000); \
         INSERT INTO notifications (id, user_id, type, data, created_at) \
         SELECT keyward_uuid_v7(now()), '{id}', 'password_changed', '{{}}', now() FROM generate_series(1, 100000)",
        id = ada.id
    ));
    app.delete("/me").bearer(&ada.access_token).await.expect(204);
    assert_eq!(app.number("SELECT count(*) FROM sessions"), 0);
    assert_eq!(app.number("SELECT count(*) FROM notifications"), 0);
    app.post("/auth/login", &json!({"login": "ada", "password": PASSWORD}))
        .await
        .refused(401, "invalid_credentials");
}
