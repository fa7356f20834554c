//! Rows that are used while they are swept.

use diesel::connection::SimpleConnection as _;
use futures_util::future::join;
use keyward::app::retention;
use serde_json::json;

use crate::support::{PASSWORD, TestApp, wait_until};

const LONG_AGO: &str = "UPDATE users SET updated_at = updated_at - interval '8 days' WHERE email_verified_at IS NULL";

async fn register(app: &TestApp, email: &str) -> serde_json::Value {
    let body = json!({"email": email, "password": PASSWORD});
    app.post("/auth/register", &body).await.expect(202);
    let token = app.last_mail_to(email).await.token("verify-email");
    json!({"token": token, "password": PASSWORD})
}

#[actix_web::test]
async fn an_account_is_verified_or_swept() {
    let app = TestApp::start();
    let second = app.another();
    for round in 0..8 {
        let email = format!("ada{round}@example.com");
        let link = register(&app, &email).await;
        app.sql(LONG_AGO);
        let verify = second.post("/auth/verify-email", &link);
        let (verified, swept) = join(verify.send(), retention::sweep(&app.state)).await;
        swept.unwrap();
        let rows = app.number(&format!(
            "SELECT count(*) FROM users WHERE email = '{email}' AND email_verified_at IS NOT NULL"
        ));
        if verified.status == 204 {
            assert_eq!(rows, 1);
            app.log_in(&email, PASSWORD).await;
        } else {
            verified.refused(410, "link_expired_or_used");
            assert_eq!(rows, 0);
        }
    }
}

#[actix_web::test]
async fn a_link_that_waits_for_the_deletion_of_its_account_is_expired() {
    let app = TestApp::start();
    let link = register(&app, "ada@example.com").await;
    let mut sweep = app.connect();
    sweep.batch_execute("BEGIN; DELETE FROM users").unwrap();
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let commit = async {
        wait_until(std::time::Duration::from_secs(5), async || app.number(waiting) == 1).await;
        sweep.batch_execute("COMMIT").unwrap();
    };
    let (verified, ()) = join(app.post("/auth/verify-email", &link).send(), commit).await;
    verified.refused(410, "link_expired_or_used");
    assert_eq!(app.number("SELECT count(*) FROM users"), 0);
    // The address can be registered again.
    let link = register(&app, "ada@example.com").await;
    app.post("/auth/verify-email", &link).await.expect(204);
}
