//! What the retention settings mean, and that a sweep waits for nothing.

use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use keyward::app::retention;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::json;

use crate::support::{PASSWORD, TestApp};

async fn sweep(app: &TestApp) {
    retention::sweep(&app.state).await.unwrap();
}

fn count(app: &TestApp, rows: &str) -> i64 {
    app.number(&format!("SELECT count(*) FROM {rows}"))
}

#[actix_web::test]
async fn with_a_retention_of_0_sessions_records_notifications_and_accounts_are_kept_for_ever() {
    let app = TestApp::start_with(&[
        ("KEYWARD_RETENTION_SESSIONS_DAYS", "0"),
        ("KEYWARD_RETENTION_AUDIT_DAYS", "0"),
        ("KEYWARD_RETENTION_NOTIFICATIONS_DAYS", "0"),
        ("KEYWARD_RETENTION_UNVERIFIED_DAYS", "0"),
    ]);
    app.person("ada").await;
    app.register("bob@example.com").await;
    app.sql(
        "INSERT INTO notifications (id, user_id, type, data, created_at, read_at) \
         SELECT keyward_uuid_v7(now()), id, 'password_changed', '{}', now(), now() FROM users WHERE username = 'ada'",
    );
    let kept = ["sessions", "audit_log", "notifications", "users"];
    let before = kept.map(|table| count(&app, table));
    assert!(before.iter().all(|rows| *rows > 0), "{before:?}");
    app.advance(TimeDelta::days(36_000));
    sweep(&app).await;
    assert_eq!(kept.map(|table| count(&app, table)), before);
    assert_eq!(count(&app, "registrations"), 0);
}

#[actix_web::test]
async fn the_rows_that_a_sweep_deletes_are_counted() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    app.request("POST", "/auth/logout")
        .bearer(&ada.access_token)
        .await
        .expect(204);
    let sessions = count(&app, "sessions");
    app.advance(TimeDelta::days(400));
    let recorder = PrometheusBuilder::new().build_recorder();
    let guard = metrics::set_default_local_recorder(&recorder);
    sweep(&app).await;
    drop(guard);
    let line = format!("keyward_swept_rows_total{{table=\"sessions\"}} {sessions}");
    let text = recorder.handle().render();
    assert!(sessions > 0 && text.lines().any(|found| found == line), "{text}");
}

#[actix_web::test]
async fn the_retention_of_sessions_and_records_can_be_set() {
    let app = TestApp::start_with(&[
        ("KEYWARD_RETENTION_SESSIONS_DAYS", "5"),
        ("KEYWARD_RETENTION_AUDIT_DAYS", "3"),
    ]);
    let ada = app.person("ada").await;
    app.request("POST", "/auth/logout")
        .bearer(&ada.access_token)
        .await
        .expect(204);
    let (records, ended) = ("audit_log", "sessions WHERE ended_at IS NOT NULL");
    app.advance(TimeDelta::hours(71));
    sweep(&app).await;
    assert!(count(&app, records) > 0);
    app.advance(TimeDelta::hours(2));
    sweep(&app).await;
    assert_eq!((count(&app, records), count(&app, ended)), (0, 1));
    app.advance(TimeDelta::hours(48));
    sweep(&app).await;
    assert_eq!(count(&app, ended), 0);
}

#[actix_web::test]
async fn a_live_session_survives_every_sweep_and_a_deleted_one_refuses_its_token() {
    let app = TestApp::start_with(&[("KEYWARD_RETENTION_SESSIONS_DAYS", "1")]);
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    app.request("POST", "/auth/logout")
        .bearer(&bob.access_token)
        .await
        .expect(204);
    app.advance(TimeDelta::days(29));
    sweep(&app).await;
    let refresh = |token: String| app.post("/auth/refresh", &json!({"refresh_token": token}));
    refresh(ada.refresh_token).await.expect(200);
    assert_eq!(count(&app, "sessions"), 1);
    refresh(bob.refresh_token).await.refused(401, "invalid_token");
}

#[actix_web::test]
async fn an_unverified_account_is_deleted_7_days_after_the_last_mail_that_could_verify_it() {
    let app = TestApp::start();
    let email = json!({"email": "ada@example.com"});
    let register = json!({"email": "ada@example.com", "password": PASSWORD});
    app.post("/auth/register", &register).await.expect(202);
    for path in ["/auth/register", "/auth/register/resend", "/password/forgot"] {
        app.advance(TimeDelta::hours(23));
        let body = if path == "/auth/register" { &register } else { &email };
        app.post(path, body).await.expect(202);
        app.advance(TimeDelta::days(6));
        sweep(&app).await;
        assert_eq!(count(&app, "users"), 1, "{path}");
        app.post("/auth/register", &register).await.expect(202);
    }
    let token = app.last_mail_to("ada@example.com").await.token("verify-email");
    app.post("/auth/verify-email", &json!({"token": token, "password": PASSWORD}))
        .await
        .expect(204);
    app.register("bob@example.com").await;
    app.advance(TimeDelta::days(8));
    sweep(&app).await;
    assert_eq!(count(&app, "users"), 1);
    assert_eq!(count(&app, "users WHERE email = 'ada@example.com'"), 1);
    // The address of the other can be registered again.
    app.register("bob@example.com").await;
    assert_eq!(count(&app, "users"), 2);
}

#[actix_web::test]
async fn a_disabled_unverified_account_is_kept() {
    let app = TestApp::start();
    app.register("ada@example.com").await;
    app.sql("UPDATE users SET disabled_at = now()");
    app.advance(TimeDelta::days(30));
    sweep(&app).await;
    assert_eq!(count(&app, "users"), 1);
}

#[actix_web::test]
async fn a_sweep_skips_rows_that_are_locked_and_tables_that_another_instance_sweeps() {
    let app = TestApp::start();
    app.person("ada").await;
    app.sql("UPDATE sessions SET ended_at = now(), end_reason = 'logged_out'");
    app.advance(TimeDelta::days(91));
    let mut other = app.connect();
    other.batch_execute("BEGIN; SELECT FROM sessions FOR UPDATE").unwrap();
    sweep(&app).await;
    assert_eq!(count(&app, "sessions"), 1);
    other
        .batch_execute("ROLLBACK; BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('sweep sessions', 0))")
        .unwrap();
    sweep(&app).await;
    assert_eq!(count(&app, "sessions"), 1);
    other.batch_execute("ROLLBACK").unwrap();
    sweep(&app).await;
    assert_eq!(count(&app, "sessions"), 0);
}

#[actix_web::test]
async fn a_table_that_cannot_be_swept_does_not_keep_the_others_from_it() {
    let app = TestApp::start();
    app.person("ada").await;
    app.sql(
        "UPDATE sessions SET ended_at = now(), end_reason = 'logged_out'; \
         ALTER TABLE api_key_reminders RENAME TO away",
    );
    app.advance(TimeDelta::days(91));
    retention::sweep(&app.state).await.unwrap_err();
    assert_eq!(count(&app, "sessions"), 0);
}

#[actix_web::test]
async fn a_login_after_all_sessions_were_deleted_is_still_reported_as_new() {
    let app = TestApp::start();
    app.person("ada").await;
    app.advance(TimeDelta::days(200));
    sweep(&app).await;
    assert_eq!(count(&app, "sessions"), 0);
    app.log_in("ada", PASSWORD).await;
    assert_eq!(count(&app, "notifications WHERE type = 'new_sign_in'"), 1);
}
