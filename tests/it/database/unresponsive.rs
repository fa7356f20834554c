//! A server that accepts connections and doesn't respond: nothing waits for ever.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use serde_json::json;

use crate::support::{Proxy, TestApp, wait_until};

/// The longest time until a response, and some time for a busy machine.
const WORST: Duration = Duration::from_secs(13);
const RECOVERY: Duration = Duration::from_secs(20);

#[actix_web::test]
async fn requests_get_503_while_the_database_does_not_respond_and_200_once_it_does() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let proxy = Proxy::start(&app.database().url);
    let other = app.another_at(&proxy.url);
    let changes = other.state.db.invalidation_log();
    wait_until(RECOVERY, async || changes.is_connected()).await;
    other.get("/me").bearer(&ada.access_token).await.expect(200);
    proxy.silence();
    let silent_since = Instant::now();
    let calls = (0..30).map(|_| other.get("/auth/sessions").bearer(&ada.access_token).send());
    let replies = futures_util::future::join_all(calls).await;
    assert!(replies.iter().all(|reply| reply.status == 503));
    assert!(silent_since.elapsed() < WORST, "{:?}", silent_since.elapsed());
    wait_until(RECOVERY, async || !changes.is_connected()).await;
    other.get("/livez").await.expect(200);
    other.get("/readyz").await.refused(503, "unavailable");
    proxy.respond();
    wait_until(RECOVERY, async || other.get("/readyz").await.status == 200).await;
    other.get("/auth/sessions").bearer(&ada.access_token).await.expect(200);
    // The cache works again, so that a revocation through another instance is noticed.
    wait_until(RECOVERY, async || changes.is_connected()).await;
    // E-mails are sent without a restart.
    let registration = json!({"email": "bob@example.com", "password": crate::support::PASSWORD});
    other.post("/auth/register", &registration).await.expect(202);
    other.last_mail_to("bob@example.com").await.token("verify-email");
    drop(other);
    app.connect().batch_execute("SELECT 1").unwrap();
}

#[actix_web::test]
async fn an_instance_that_starts_while_the_database_does_not_respond_works_later() {
    let app = TestApp::start();
    let proxy = Proxy::start(&app.database().url);
    proxy.silence();
    let other = app.another_at(&proxy.url);
    let asked_at = Instant::now();
    other.get("/readyz").await.refused(503, "unavailable");
    assert!(asked_at.elapsed() < WORST);
    proxy.respond();
    wait_until(RECOVERY, async || other.get("/readyz").await.status == 200).await;
    super::roles::use_everything(&other, "ada").await;
}
