use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use super::support::Key;
use crate::support::{Person, Reply, TestApp};

async fn forward(app: &TestApp, credential: &str) -> Reply {
    app.get("/auth/forward").bearer(credential).await
}

/// Makes sure that an instance remembers a credential, by taking away what it would read.
async fn remembered(app: &TestApp, credential: &str) {
    let started = Instant::now();
    loop {
        forward(app, credential).await.expect(204);
        app.sql("ALTER TABLE users RENAME TO users_away");
        let status = forward(app, credential).await.status;
        app.sql("ALTER TABLE users_away RENAME TO users");
        if status == 204 {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "nothing is remembered");
    }
}

/// From the change on, how long the credential still works; at most a second.
async fn refused_in_time(app: &TestApp, credential: &str) {
    let changed = Instant::now();
    while forward(app, credential).await.status == 204 {
        assert!(changed.elapsed() < Duration::from_secs(1), "works for too long");
    }
    for _ in 0..5 {
        assert_ne!(forward(app, credential).await.status, 204);
    }
}

#[actix_web::test]
async fn a_warm_credential_costs_no_look_into_the_database() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({})).await;
    remembered(&app, &key.secret).await;
    remembered(&app, &ada.access_token).await;
}

async fn warm(apps: [&TestApp; 2], credential: &str) {
    for app in apps {
        remembered(app, credential).await;
    }
}

#[actix_web::test]
async fn the_instance_that_makes_a_change_forgets_at_once_and_the_other_within_a_second() {
    let app = TestApp::start();
    let second = app.another();
    let ada = app.person("ada").await;
    for round in 0..6 {
        let key = app.key(&ada, json!({})).await;
        warm([&app, &second], &key.secret).await;
        let path = key.path();
        let (method, path, body) = match round % 3 {
            0 => ("DELETE", path, None),
            1 => ("PATCH", path, Some(json!({"enabled": false}))),
            _ => ("PATCH", path, Some(json!({"allowed_ips": ["203.0.113.0/24"]}))),
        };
        let mut call = app.request(method, &path).bearer(&ada.access_token);
        if let Some(body) = body {
            call = call.json(&body);
        }
        assert!(call.await.status < 300);
        assert_ne!(forward(&app, &key.secret).await.status, 204);
        refused_in_time(&second, &key.secret).await;
    }
}

#[actix_web::test]
async fn what_happens_to_its_owner_reaches_a_credential_wherever_it_is_remembered() {
    let app = TestApp::start();
    let second = app.another();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org_of("acme", &[(&ada, "owner"), (&bob, "member")]);
    let key = app.key(&bob, json!({"org_id": org.to_string()})).await;
    let session = app.switch(&org.to_string(), &bob).await;
    for credential in [&key.secret, &session] {
        warm([&app, &second], credential).await;
    }
    app.leave_org(org, &bob);
    for app in [&app, &second] {
        for credential in [&key.secret, &session] {
            refused_in_time(app, credential).await;
        }
    }
    let personal = app.key(&bob, json!({})).await;
    warm([&app, &second], &personal.secret).await;
    app.sql(&format!("UPDATE users SET disabled_at = now() WHERE id = '{}'", bob.id));
    for app in [&app, &second] {
        refused_in_time(app, &personal.secret).await;
    }
}

#[actix_web::test]
async fn a_session_that_ends_is_forgotten_on_both_instances() {
    let app = TestApp::start();
    let second = app.another();
    let ada = app.person("ada").await;
    warm([&app, &second], &ada.access_token).await;
    app.request("POST", "/auth/logout")
        .bearer(&ada.access_token)
        .await
        .expect(204);
    assert_eq!(forward(&app, &ada.access_token).await.status, 401);
    refused_in_time(&second, &ada.access_token).await;
}

#[actix_web::test]
async fn a_remembered_key_expires_on_time() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({"expires_in_days": 1})).await;
    remembered(&app, &key.secret).await;
    app.advance(chrono::TimeDelta::days(1));
    forward(&app, &key.secret).await.refused(401, "invalid_token");
    forward(&app, &ada.access_token).await.refused(401, "invalid_token");
}

#[actix_web::test]
async fn while_nobody_listens_nothing_that_is_remembered_counts() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({})).await;
    remembered(&app, &key.secret).await;
    app.sql("ALTER TABLE users RENAME TO users_away");
    app.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE application_name = 'keyward-listener' AND datname = current_database()",
    );
    let lost = Instant::now();
    while forward(&app, &key.secret).await.status == 204 {
        assert!(
            lost.elapsed() < Duration::from_secs(1),
            "a lost connection is not noticed"
        );
    }
    app.sql("ALTER TABLE users_away RENAME TO users");
    remembered(&app, &key.secret).await;
}

#[actix_web::test]
async fn a_change_during_a_reading_is_not_lost() {
    let app = TestApp::start();
    let second = app.another();
    let ada = app.person("ada").await;
    // Readers race with a change: whoever read before must not remember beyond it.
    for _ in 0..20 {
        let key: Key = app.key(&ada, json!({})).await;
        let readers = join_all((0..10).map(|_| forward(&app, &key.secret)));
        let deletion = delete(&app, &ada, &key);
        let (_, ()) = futures_util::future::join(readers, deletion).await;
        forward(&app, &key.secret).await.refused(401, "invalid_token");
        refused_in_time(&second, &key.secret).await;
    }
}

async fn delete(app: &TestApp, person: &Person, key: &Key) {
    app.delete(&key.path()).bearer(&person.access_token).await.expect(204);
}
