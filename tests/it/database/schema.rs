//! Databases that this version of the program did not migrate, or that accept no changes.

use diesel::connection::SimpleConnection as _;
use keyward::db::migrations::{Schema, migrate};
use serde_json::json;

use crate::support::{TestApp, wait_until};

#[actix_web::test]
async fn before_the_migrations_every_request_for_data_gets_503() {
    let app = TestApp::start_unmigrated();
    for path in ["/readyz", "/avatars/0190aaaa-0000-7000-8000-000000000000"] {
        let reply = app.get(path).await;
        reply.refused(503, "unavailable");
        assert!(reply.header("retry-after").is_some());
    }
    let login = json!({"login": "ada", "password": "wrong-password"});
    app.post("/auth/login", &login).await.refused(503, "unavailable");
}

#[actix_web::test]
async fn an_instance_is_not_ready_if_it_starts_on_a_newer_schema() {
    let app = TestApp::start();
    assert_eq!(app.get("/readyz").await.expect(200)["status"], "ok");
    app.connect()
        .batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99999999000000')")
        .unwrap();
    // During a rolling update the older instances go on until they are replaced.
    let body = app.get("/readyz").await.expect(200);
    assert_eq!(body, json!({"status": "degraded", "degraded": ["newer_schema"]}));
    let reply = app.another().get("/readyz").await;
    reply.refused(503, "unavailable");
    let detail = reply.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("newer than this version"), "{detail}");
    assert_eq!(migrate(&app.database().url).unwrap(), Schema::Newer);
}

#[actix_web::test]
async fn an_instance_with_a_read_only_database_is_ready_and_verifies_keys() {
    let app = TestApp::start();
    let ada = app.admin("ada").await;
    let key = app.key(&ada, json!({"scopes": ["keys:verify"]})).await;
    let setting = "ALTER DATABASE $DATABASE SET default_transaction_read_only = on";
    app.database().run_outside(setting);
    app.database()
        .run_outside("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '$DATABASE'");
    let other = app.another();
    for instance in [&app, &other] {
        // One request may still meet the connection that was terminated.
        wait_until(std::time::Duration::from_secs(5), async || {
            instance.get("/readyz").await.status == 200
        })
        .await;
        let body = instance.get("/readyz").await.expect(200);
        assert_eq!(body, json!({"status": "degraded", "degraded": ["read_only_database"]}));
        let body = instance
            .post("/api-keys/verify", &json!({"key": key.secret}))
            .bearer(&key.secret)
            .await
            .expect(200);
        assert_eq!(body["valid"], true);
        let change = json!({"nickname": "Ada"});
        let reply = instance.patch("/me", &change).bearer(&ada.access_token).await;
        reply.refused(503, "unavailable");
    }
    assert_eq!(migrate(&app.database().url).unwrap(), Schema::Current);
}

#[actix_web::test]
async fn a_database_that_is_not_encoded_in_utf8_is_named_as_such() {
    let app = TestApp::start_unmigrated();
    app.database().run_outside(
        "CREATE DATABASE $DATABASE_latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
    );
    let url = app.database().url_of("$DATABASE_latin");
    let error = migrate(&url).unwrap_err();
    app.database().run_outside("DROP DATABASE $DATABASE_latin WITH (FORCE)");
    let line = std::error::Error::source(&error).unwrap().to_string();
    assert!(line.contains("LATIN1") && line.contains("ENCODING 'UTF8'"), "{line}");
}
