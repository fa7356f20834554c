//! Actions that strangers can repeat without limit: counted per account and network, and recorded once.

use chrono::TimeDelta;
use keyward::app::worker;
use serde_json::{Value, json};

use crate::support::{Call, PASSWORD, TestApp};

/// With the address of the client in `X-Forwarded-For`.
fn start() -> TestApp {
    TestApp::start_with(&[("KEYWARD_TRUSTED_PROXIES", "127.0.0.1")])
}

fn log_in(app: &TestApp, login: &str, password: &str, ip: &str) -> Call {
    app.post("/auth/login", &json!({"login": login, "password": password}))
        .header("x-forwarded-for", ip)
}

/// Ends all periods and writes the records.
async fn close(app: &TestApp) {
    app.advance(TimeDelta::minutes(10));
    worker::write_audit_counts(&app.state).await.unwrap();
}

/// The sum of the counts in the records of an action, and the number of these records.
fn recorded(app: &TestApp, action: &str) -> (i64, i64) {
    let records = format!("FROM audit_log WHERE action = '{action}'");
    (
        app.number(&format!("SELECT coalesce(sum((details->>'count')::int), 0) {records}")),
        app.number(&format!("SELECT count(*) {records}")),
    )
}

#[actix_web::test]
async fn failed_logins_become_one_record_that_names_the_account() {
    let app = start();
    let ada = app.person("ada").await;
    for (login, host) in [("ada", 1), ("ADA@example.com", 2), ("ada", 3)] {
        log_in(&app, login, "wrong", &format!("203.0.113.{host}"))
            .await
            .refused(401, "invalid_credentials");
    }
    worker::write_audit_counts(&app.state).await.unwrap();
    assert_eq!(recorded(&app, "session.login_failed"), (0, 0));
    close(&app).await;
    let query = "/me/activity?action=session.login_failed";
    let page = app.get(query).bearer(&ada.access_token).await.expect(200);
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    let record = &page["data"][0];
    assert_eq!(record["actor"], json!({"type": "anonymous", "id": null, "name": null}));
    assert_eq!(
        record["object"],
        json!({"type": "user", "id": ada.id.to_string(), "name": "ada"})
    );
    assert_eq!(
        (&record["result"], &record["ip"]),
        (&json!("failure"), &json!("203.0.113.3"))
    );
    assert_eq!(
        (&record["details"]["count"], &record["details"]["network"]),
        (&json!(3), &json!("203.0.113.0/24"))
    );
    assert!(record["details"]["first_at"].as_str().unwrap() <= record["at"].as_str().unwrap());
    // The next one begins another count.
    log_in(&app, "ada", "wrong", "203.0.113.1")
        .await
        .refused(401, "invalid_credentials");
    close(&app).await;
    assert_eq!(recorded(&app, "session.login_failed"), (4, 2));
}

#[actix_web::test]
async fn guesses_of_logins_without_an_account_leave_one_row_per_network() {
    let app = start();
    for n in 0..40 {
        log_in(&app, &format!("nobody{n}"), "wrong", &format!("203.0.113.{n}"))
            .await
            .refused(401, "invalid_credentials");
    }
    log_in(&app, "nobody", "wrong", "2001:db8::1")
        .await
        .refused(401, "invalid_credentials");
    assert_eq!(app.number("SELECT count(*) FROM audit_counts"), 2);
    close(&app).await;
    assert_eq!(app.number("SELECT count(*) FROM audit_counts"), 0);
    assert_eq!(recorded(&app, "session.login_failed"), (41, 2));
    assert_eq!(
        app.number("SELECT count(*) FROM audit_log WHERE user_id IS NOT NULL OR object_id IS NOT NULL"),
        0
    );
}

#[actix_web::test]
async fn a_count_that_never_pauses_is_recorded_after_an_hour() {
    let app = start();
    app.person("ada").await;
    for _ in 0..8 {
        log_in(&app, "ada", "wrong", "203.0.113.1")
            .await
            .refused(401, "invalid_credentials");
        app.advance(TimeDelta::minutes(9));
        worker::write_audit_counts(&app.state).await.unwrap();
    }
    assert_eq!(recorded(&app, "session.login_failed"), (7, 1));
}

#[actix_web::test]
async fn logins_that_are_refused_with_429_are_recorded_for_their_account() {
    let app = start();
    let ada = app.person("ada").await;
    for _ in 0..10 {
        log_in(&app, "ada", "wrong", "203.0.113.1")
            .await
            .refused(401, "invalid_credentials");
    }
    for _ in 0..5 {
        log_in(&app, "ada", PASSWORD, "203.0.113.1")
            .await
            .refused(429, "rate_limited");
    }
    close(&app).await;
    assert_eq!(recorded(&app, "request.rate_limited"), (5, 1));
    let named = format!(
        "SELECT count(*) FROM audit_log WHERE action = 'request.rate_limited' AND user_id = '{}'",
        ada.id
    );
    assert_eq!(app.number(&named), 1);
    // Wrong passwords of a caller who is authenticated, too.
    let wrong = json!({"current_password": "wrong"});
    for _ in 0..11 {
        let call = app.post("/auth/reauthenticate", &wrong).bearer(&ada.access_token);
        call.header("x-forwarded-for", "198.51.100.1").await;
    }
    close(&app).await;
    assert_eq!(recorded(&app, "request.rate_limited"), (6, 2));
}

#[actix_web::test]
async fn a_flood_of_429s_writes_nothing_until_the_next_flush_and_then_one_row() {
    let app = start();
    let check = json!({"password": "plum-rocket-tundra-fiddle"});
    let call = || {
        app.post("/password/check", &check)
            .header("x-forwarded-for", "203.0.113.1")
    };
    let mut refused = 0;
    while refused < 20 {
        refused += i64::from(call().await.status == 429);
    }
    assert_eq!(app.number("SELECT count(*) FROM audit_counts"), 0);
    close(&app).await;
    close(&app).await;
    assert_eq!(recorded(&app, "request.rate_limited"), (refused, 1));
}

#[actix_web::test]
async fn a_login_to_a_disabled_account_is_recorded() {
    let app = start();
    let ada = app.person("ada").await;
    app.sql(&format!("UPDATE users SET disabled_at = now() WHERE id = '{}'", ada.id));
    for _ in 0..2 {
        log_in(&app, "ada", PASSWORD, "203.0.113.1")
            .await
            .refused(403, "account_disabled");
    }
    close(&app).await;
    assert_eq!(recorded(&app, "session.login_refused"), (2, 1));
    assert_eq!(recorded(&app, "session.login_failed"), (0, 0));
}

#[actix_web::test]
async fn registrations_and_requested_resets_are_counted() {
    let app = start();
    let ada = app.person("ada").await;
    let public = |path: &str, body: Value| app.post(path, &body).header("x-forwarded-for", "203.0.113.1");
    for n in 0..5 {
        let email = format!("stranger{n}@example.com");
        public("/auth/register", json!({"email": email, "password": PASSWORD}))
            .await
            .expect(202);
        public("/auth/register/resend", json!({"email": email}))
            .await
            .expect(202);
        public("/password/forgot", json!({"email": format!("unknown{n}@example.com")}))
            .await
            .expect(202);
    }
    public(
        "/auth/register",
        json!({"email": "ada@example.com", "password": PASSWORD}),
    )
    .await
    .expect(202);
    public("/password/forgot", json!({"email": "ada@example.com"}))
        .await
        .expect(202);
    // Unverified accounts have no row of their own; there may be any number of them.
    assert_eq!(app.number("SELECT count(*) FROM audit_counts"), 5);
    close(&app).await;
    assert_eq!(recorded(&app, "account.registered"), (6, 2));
    assert_eq!(recorded(&app, "account.verification_resent"), (5, 1));
    assert_eq!(recorded(&app, "password.reset_requested"), (6, 2));
    let of_ada = format!(
        "SELECT count(*) FROM audit_log WHERE user_id = '{}' AND details ? 'count'",
        ada.id
    );
    assert_eq!(app.number(&of_ada), 2);
}

#[actix_web::test]
async fn nothing_is_lost_or_counted_twice_while_two_instances_write_the_records() {
    let app = start();
    let second = app.another();
    app.sql(
        "INSERT INTO audit_counts SELECT 'session.login_failed', md5(n::text)::uuid, '192.0.2.0/24', 'failure', 2, now(), \
         now(), '192.0.2.1', 'a-request' FROM generate_series(1, 1200) AS n",
    );
    app.advance(TimeDelta::minutes(10));
    let guesses = (0..9).map(|n| log_in(&app, "nobody", "wrong", &format!("203.0.113.{n}")).send());
    let (first, other, replies) = tokio::join!(
        worker::write_audit_counts(&app.state),
        worker::write_audit_counts(&second.state),
        futures_util::future::join_all(guesses)
    );
    first.unwrap();
    other.unwrap();
    for reply in replies {
        reply.refused(401, "invalid_credentials");
    }
    close(&app).await;
    assert_eq!(recorded(&app, "session.login_failed"), (2409, 1201));
}
