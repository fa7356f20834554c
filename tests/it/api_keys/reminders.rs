use chrono::TimeDelta;
use keyward::app::worker;
use serde_json::json;

use crate::support::{Key, PASSWORD, Person, TestApp};

/// Sends the reminders that are due, and returns the time left in the subjects of all reminders so far.
async fn reminders(app: &TestApp, person: &Person) -> Vec<String> {
    worker::remind(&app.state).await.unwrap();
    let mails = app.mails_to(&person.email).await;
    let notified = "SELECT count(*) FROM notifications WHERE type = 'api_key_expiring'";
    let subjects: Vec<String> = mails
        .into_iter()
        .filter_map(|mail| mail.subject.split_once(" expires in ").map(|(_, rest)| rest.to_owned()))
        .collect();
    assert_eq!(app.number(notified), i64::try_from(subjects.len()).unwrap());
    subjects
}

async fn extend(app: &TestApp, person: &Person, key: &Key, days: i64) {
    let token = app.log_in(&person.email, PASSWORD).await;
    app.post(&format!("{}/extend", key.path()), &json!({"days": days}))
        .bearer(token["access_token"].as_str().unwrap())
        .await
        .expect(200);
}

#[actix_web::test]
async fn the_owner_is_reminded_three_times_and_again_after_an_extension() {
    let app = TestApp::start();
    let second = app.another();
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({"expires_in_days": 40})).await;
    app.key(&ada, json!({})).await;
    assert!(reminders(&app, &ada).await.is_empty());
    app.advance(TimeDelta::days(10));
    assert_eq!(reminders(&app, &ada).await, ["30 days"]);
    assert_eq!(reminders(&second, &ada).await, ["30 days"]);
    app.advance(TimeDelta::days(23));
    assert_eq!(reminders(&app, &ada).await, ["30 days", "7 days"]);
    app.advance(TimeDelta::days(6));
    let all = ["30 days", "7 days", "1 day"];
    assert_eq!(reminders(&app, &ada).await, all);
    app.advance(TimeDelta::days(2));
    assert_eq!(reminders(&app, &ada).await, all);
    extend(&app, &ada, &key, 8).await;
    assert_eq!(reminders(&app, &ada).await, all);
    app.advance(TimeDelta::days(1));
    assert_eq!(reminders(&app, &ada).await, ["30 days", "7 days", "1 day", "7 days"]);
}

#[actix_web::test]
async fn concurrent_workers_send_one_reminder() {
    let app = TestApp::start();
    let second = app.another();
    let ada = app.person("ada").await;
    app.key(&ada, json!({"expires_in_days": 8})).await;
    app.advance(TimeDelta::days(1));
    let calls = (0..50).map(|n| worker::remind(if n % 2 == 0 { &app.state } else { &second.state }));
    for outcome in futures_util::future::join_all(calls).await {
        outcome.unwrap();
    }
    assert_eq!(reminders(&app, &ada).await, ["7 days"]);
}

#[actix_web::test]
async fn keys_that_do_not_work_or_were_created_with_a_short_lifetime_get_no_reminder() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let off = app.key(&ada, json!({"expires_in_days": 7})).await;
    app.patch(&off.path(), &json!({"enabled": false}))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    let org = app.org_of("acme", &[(&ada, "owner"), (&bob, "member")]);
    app.key(&bob, json!({"org_id": org.to_string(), "expires_in_days": 7}))
        .await;
    app.leave_org(org, &bob);
    app.key(&ada, json!({"expires_in_days": 5})).await;
    assert!(reminders(&app, &ada).await.is_empty());
    assert!(reminders(&app, &bob).await.is_empty());
    app.advance(TimeDelta::days(4));
    assert_eq!(reminders(&app, &ada).await, ["1 day"]);
}

#[actix_web::test]
async fn without_mail_the_reminder_is_an_in_app_notification_only() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    app.key(&ada, json!({"expires_in_days": 2})).await;
    app.advance(TimeDelta::days(1));
    app.sql("INSERT INTO mail_opt_outs SELECT id, 'api_key_expiring' FROM users");
    worker::remind(&app.state).await.unwrap();
    assert_eq!(
        app.number("SELECT count(*) FROM notifications WHERE type = 'api_key_expiring'"),
        1
    );
    let mails = app.mails_to(&ada.email).await;
    assert!(mails.iter().all(|mail| !mail.subject.contains("expires")));
}

#[actix_web::test]
async fn a_key_whose_life_is_as_long_as_the_lead_of_a_reminder_gets_it_only_for_the_shorter_leads() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    for days in [30, 7, 1] {
        app.key(&ada, json!({"expires_in_days": days})).await;
    }
    assert!(reminders(&app, &ada).await.is_empty());
    app.advance(TimeDelta::days(23));
    // The 30-day key has 7 days left; the others have expired.
    assert_eq!(reminders(&app, &ada).await, ["7 days"]);
}
