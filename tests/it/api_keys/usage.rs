use keyward::api_keys;
use serde_json::{Value, json};

use crate::support::{TestApp, eventually};

async fn today(app: &TestApp, id: &str, token: &str) -> (i64, i64) {
    let answer = app
        .get(&format!("/api-keys/{id}/usage?days=2"))
        .bearer(token)
        .await
        .expect(200);
    let days = answer["data"].as_array().unwrap();
    assert_eq!(days.len(), 2);
    assert_eq!(days[0]["date"], app.state.clock.now().date_naive().to_string().as_str());
    assert_eq!(days[1]["requests"], 0);
    (
        days[0]["requests"].as_i64().unwrap(),
        days[0]["denied"].as_i64().unwrap(),
    )
}

#[actix_web::test]
async fn uses_are_counted_and_the_last_one_is_stored() {
    let app = TestApp::start_with(&[("KEYWARD_TRUSTED_PROXIES", "127.0.0.1")]);
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({"scopes": ["me:read"]})).await;
    let from = |path: &str, ip: &str| app.get(path).bearer(&key.secret).header("x-forwarded-for", ip);
    from("/me", "203.0.113.1").await.expect(200);
    from("/api-keys/current", "203.0.113.2").await.expect(200);
    from("/api-keys", "203.0.113.3")
        .await
        .refused(403, "insufficient_scope");
    let read = app.get(&key.path()).bearer(&ada.access_token).await.expect(200);
    assert_eq!(read["last_used_ip"], "203.0.113.2");
    assert_eq!(today(&app, &key.id, &ada.access_token).await, (3, 1));
    assert_eq!(today(&app, &key.id, &ada.access_token).await, (3, 1));
    let stored = app.get(&key.path()).bearer(&ada.access_token).await.expect(200);
    assert_eq!(stored["last_used_at"], read["last_used_at"]);
    assert_eq!(
        (&stored["updated_at"], &stored["last_used_ip"]),
        (&key.body["updated_at"], &read["last_used_ip"])
    );
    app.patch(&key.path(), &json!({"enabled": false}))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    from("/me", "203.0.113.1").await.refused(401, "invalid_token");
    assert_eq!(today(&app, &key.id, &ada.access_token).await, (4, 2));
}

#[actix_web::test]
async fn counts_of_two_instances_add_up_and_the_latest_use_is_kept() {
    let app = TestApp::start();
    let second = app.another();
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({})).await;
    app.get("/api-keys/current").bearer(&key.secret).await.expect(200);
    second.get("/api-keys/current").bearer(&key.secret).await.expect(200);
    let last = second.get(&key.path()).bearer(&ada.access_token).await.expect(200)["last_used_at"].clone();
    api_keys::flush_usage(&second.state).await.unwrap();
    api_keys::flush_usage(&app.state).await.unwrap();
    assert_eq!(today(&app, &key.id, &ada.access_token).await, (2, 0));
    let read = app.get(&key.path()).bearer(&ada.access_token).await.expect(200);
    assert_eq!(read["last_used_at"], last);
}

#[actix_web::test]
async fn a_flush_ignores_deleted_keys() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let (deleted, kept) = (app.key(&ada, json!({})).await, app.key(&ada, json!({})).await);
    for key in [&deleted, &kept] {
        app.get("/api-keys/current").bearer(&key.secret).await.expect(200);
    }
    app.sql(&format!("DELETE FROM api_keys WHERE id = '{}'", deleted.id));
    api_keys::flush_usage(&app.state).await.unwrap();
    assert_eq!(app.number("SELECT count(*) FROM api_keys"), 1);
    assert_eq!(app.number("SELECT count(*) FROM api_key_usage"), 1);
    assert_eq!(
        app.number("SELECT count(*) FROM api_keys WHERE last_used_at IS NOT NULL"),
        1
    );
}

#[actix_web::test]
async fn with_a_read_only_database_keys_are_verified_and_no_use_is_lost() {
    let app = TestApp::start();
    let grace = app.admin("grace").await;
    let gateway = app.key(&grace, json!({"scopes": ["keys:verify"]})).await;
    let (warm, cold) = (app.key(&grace, json!({})).await, app.key(&grace, json!({})).await);
    app.get("/auth/forward").bearer(&warm.secret).await.expect(204);
    app.database()
        .run_outside("ALTER DATABASE $DATABASE SET default_transaction_read_only = on");
    app.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
    // Requests on a connection that was terminated may fail.
    eventually(async || app.get("/api-keys/current").bearer(&warm.secret).await.status == 200).await;
    let uses_before = app.number("SELECT count(*) FROM api_key_usage");
    assert_eq!(uses_before, 0);
    for _ in 0..10 {
        for key in [&warm, &cold] {
            app.get("/auth/forward").bearer(&key.secret).await.expect(204);
            let answer = app
                .post("/api-keys/verify", &json!({"key": key.secret}))
                .bearer(&gateway.secret)
                .await
                .expect(200);
            assert_eq!(answer["code"], "valid");
        }
    }
    let refused = app.create_key(&grace, json!({})).await;
    refused.refused(503, "unavailable");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(
        api_keys::flush_usage(&app.state).await.unwrap_err().code().as_str(),
        "unavailable"
    );
    app.database()
        .run_outside("ALTER DATABASE $DATABASE SET default_transaction_read_only = off");
    app.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
    let mut flushed = api_keys::flush_usage(&app.state).await;
    for _ in 0..5 {
        if flushed.is_err() {
            flushed = api_keys::flush_usage(&app.state).await;
        }
    }
    flushed.unwrap();
    let counted = app.number(&format!(
        "SELECT requests FROM api_key_usage WHERE api_key_id = '{}'",
        cold.id
    ));
    assert_eq!(counted, 20);
}

#[actix_web::test]
async fn the_usage_of_a_foreign_key_is_not_found() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let key = app.key(&ada, json!({})).await;
    app.get(&format!("{}/usage?days=0", key.path()))
        .bearer(&bob.access_token)
        .await
        .refused(404, "not_found");
    app.get(&format!("{}/usage?days=91", key.path()))
        .bearer(&ada.access_token)
        .await
        .invalid(&[("days", "out_of_range")]);
    let all: Value = app
        .get(&format!("{}/usage", key.path()))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    assert_eq!(all["data"].as_array().unwrap().len(), 30);
}
