use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use diesel::{QueryableByName, RunQueryDsl as _};
use keyward::app::retention;
use serde_json::json;

use super::announce;
use crate::support::TestApp;

fn titles(app: &TestApp) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Text)]
        title: String,
    }
    let rows: Vec<Row> = diesel::sql_query("SELECT data->>'title' AS title FROM notifications ORDER BY id")
        .load(&mut app.connect())
        .unwrap();
    rows.into_iter().map(|row| row.title).collect()
}

#[actix_web::test]
async fn read_and_resolved_notifications_are_deleted_after_180_days_and_all_after_360() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    for title in ["unread", "read", "resolved"] {
        announce(&app, ada.id, title).await;
        app.advance(TimeDelta::seconds(1));
    }
    app.connect()
        .batch_execute(
            "UPDATE notifications SET read_at = now() WHERE data->>'title' = 'read'; \
             UPDATE notifications SET resolved_at = now() WHERE data->>'title' = 'resolved'",
        )
        .unwrap();
    app.advance(TimeDelta::days(179));
    retention::sweep(&app.state).await.unwrap();
    assert_eq!(titles(&app), ["unread", "read", "resolved"]);
    app.advance(TimeDelta::days(2));
    announce(&app, ada.id, "new").await;
    retention::sweep(&app.state).await.unwrap();
    assert_eq!(titles(&app), ["unread", "new"]);
    app.advance(TimeDelta::days(180));
    retention::sweep(&app.state).await.unwrap();
    assert_eq!(titles(&app), ["new"]);
}

#[actix_web::test]
async fn an_email_whose_link_has_expired_during_an_outage_is_not_sent() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let before = app.mails_to(&ada.email).await.len();
    let forgotten = json!({"email": ada.email});
    app.post("/password/forgot", &forgotten).await.expect(202);
    app.advance(TimeDelta::minutes(61));
    assert_eq!(app.mails_to(&ada.email).await.len(), before);
    let given_up = "SELECT count(*) FROM mail_outbox WHERE failed_at IS NOT NULL AND last_error LIKE '%expired%'";
    assert_eq!(app.number(given_up), 1);
    app.post("/password/forgot", &forgotten).await.expect(202);
    app.advance(TimeDelta::minutes(59));
    assert_eq!(app.mails_to(&ada.email).await.len(), before + 1);
}
