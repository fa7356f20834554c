//! The service needs no superuser: the owner of a database migrates it, and a role that can only read and write rows serves.

use diesel::connection::SimpleConnection as _;
use keyward::app::{retention, worker};
use keyward::db::migrations::{Schema, migrate};
use serde_json::json;

use crate::support::TestApp;

/// Registers a person by mail, uses an API key and runs all background work.
pub async fn use_everything(app: &TestApp, name: &str) {
    app.get("/readyz").await.expect(200);
    let email = format!("{name}@mail.example.com");
    let registration = json!({"email": email, "password": crate::support::PASSWORD});
    app.post("/auth/register", &registration).await.expect(202);
    let token = app.last_mail_to(&email).await.token("verify-email");
    let proof = json!({"token": token, "password": crate::support::PASSWORD});
    app.post("/auth/verify-email", &proof).await.expect(204);
    let person = app.person(name).await;
    let key = app.key(&person, json!({"scopes": ["me:read"]})).await;
    app.get("/me").bearer(&key.secret).await.expect(200);
    app.delete(&key.path()).bearer(&person.access_token).await.expect(204);
    app.get("/me").bearer(&key.secret).await.refused(401, "invalid_token");
    worker::remind(&app.state).await.unwrap();
    retention::sweep(&app.state).await.unwrap();
    keyward::api_keys::flush_usage(&app.state).await.unwrap();
    app.get("/readyz").await.expect(200);
}

#[actix_web::test]
async fn the_owner_of_a_database_can_migrate_it_and_serve() {
    let app = TestApp::start_unmigrated();
    let owner = app.database().create_role("owner");
    app.database()
        .run_outside(&format!("ALTER DATABASE $DATABASE OWNER TO {}", owner.name));
    assert_eq!(migrate(&owner.url).unwrap(), Schema::Current);
    use_everything(&app.another_at(&owner.url), "ada").await;
}

#[actix_web::test]
async fn a_role_that_can_only_read_and_write_rows_serves_after_the_migration() {
    let app = TestApp::start();
    let role = app.database().create_role("service");
    let name = &role.name;
    app.connect()
        .batch_execute(&format!(
            "REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO {name}; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}; \
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}"
        ))
        .unwrap();
    assert_eq!(migrate(&role.url).unwrap(), Schema::Current);
    use_everything(&app.another_at(&role.url), "ada").await;
}

#[actix_web::test]
async fn a_role_without_privileges_is_reported_as_unavailable() {
    let app = TestApp::start();
    let role = app.database().create_role("stranger");
    let other = app.another_at(&role.url);
    other.get("/readyz").await.refused(503, "unavailable");
    let login = json!({"login": "ada", "password": "wrong-password"});
    other.post("/auth/login", &login).await.refused(503, "unavailable");
}
