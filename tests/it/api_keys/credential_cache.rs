use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Key, Person, Reply, TestApp};

async fn forward(app: &TestApp, credential: &str) -> Reply {
    app.get("/auth/forward").bearer(credential).await
}

/// Fills the cache of an instance, and checks it: without the table a request only succeeds with a cached credential.
async fn warm_up(app: &TestApp, credential: &str) {
    let started = Instant::now();
    loop {
        forward(app, credential).await.expect(204);
        app.sql("ALTER TABLE users RENAME TO users_away");
        let status = forward(app, credential).await.status;
        app.sql("ALTER TABLE users_away RENAME TO users");
        if status == 204 {
            return;
        }
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "the credential is not cached"
        );
    }
}

/// Checks that a credential is rejected within a second, and from then on.
async fn assert_rejected_within_a_second(app: &TestApp, credential: &str) {
    let changed = Instant::now();
    while forward(app, credential).await.status == 204 {
        assert!(
            changed.elapsed() < Duration::from_secs(1),
            "the credential works for more than a second"
        );
    }
    for _ in 0..5 {
        assert_ne!(forward(app, credential).await.status, 204);
    }
}

#[actix_web::test]
async fn a_cached_credential_needs_no_query() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({})).await;
    warm_up(&app, &key.secret).await;
    warm_up(&app, &ada.access_token).await;
}

async fn warm_up_both(apps: [&TestApp; 2], credential: &str) {
    for app in apps {
        warm_up(app, credential).await;
    }
}

#[actix_web::test]
async fn a_change_takes_effect_at_once_on_its_instance_and_within_a_second_on_others() {
    let app = TestApp::start();
    let second = app.another();
    let ada = app.person("ada").await;
    for round in 0..6 {
        let key = app.key(&ada, json!({})).await;
        warm_up_both([&app, &second], &key.secret).await;
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
        assert_rejected_within_a_second(&second, &key.secret).await;
    }
}

#[actix_web::test]
async fn a_change_of_the_owner_invalidates_their_credentials_on_all_instances() {
    let app = TestApp::start();
    let second = app.another();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org_of("acme", &[(&ada, "owner"), (&bob, "member")]);
    let key = app.key(&bob, json!({"org_id": org.to_string()})).await;
    let session = app.switch(&org.to_string(), &bob).await;
    for credential in [&key.secret, &session] {
        warm_up_both([&app, &second], credential).await;
    }
    app.leave_org(org, &bob);
    for app in [&app, &second] {
        for credential in [&key.secret, &session] {
            assert_rejected_within_a_second(app, credential).await;
        }
    }
    let personal = app.key(&bob, json!({})).await;
    warm_up_both([&app, &second], &personal.secret).await;
    app.sql(&format!("UPDATE users SET disabled_at = now() WHERE id = '{}'", bob.id));
    for app in [&app, &second] {
        assert_rejected_within_a_second(app, &personal.secret).await;
    }
}

#[actix_web::test]
async fn a_session_that_ends_is_rejected_on_both_instances() {
    let app = TestApp::start();
    let second = app.another();
    let ada = app.person("ada").await;
    warm_up_both([&app, &second], &ada.access_token).await;
    app.request("POST", "/auth/logout")
        .bearer(&ada.access_token)
        .await
        .expect(204);
    assert_eq!(forward(&app, &ada.access_token).await.status, 401);
    assert_rejected_within_a_second(&second, &ada.access_token).await;
}

#[actix_web::test]
async fn a_cached_key_expires_on_time() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({"expires_in_days": 1})).await;
    warm_up(&app, &key.secret).await;
    app.advance(chrono::TimeDelta::days(1));
    forward(&app, &key.secret).await.refused(401, "invalid_token");
    forward(&app, &ada.access_token).await.refused(401, "invalid_token");
}

#[actix_web::test]
async fn without_a_listening_connection_no_cached_credential_is_accepted() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({})).await;
    warm_up(&app, &key.secret).await;
    app.sql("ALTER TABLE users RENAME TO users_away");
    app.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE application_name = 'keyward-listener' AND datname = current_database()",
    );
    let lost = Instant::now();
    while forward(&app, &key.secret).await.status == 204 {
        assert!(
            lost.elapsed() < Duration::from_secs(1),
            "the lost connection is not detected"
        );
    }
    app.sql("ALTER TABLE users_away RENAME TO users");
    warm_up(&app, &key.secret).await;
}

#[actix_web::test]
async fn a_change_during_a_read_is_not_lost() {
    let app = TestApp::start();
    let second = app.another();
    let ada = app.person("ada").await;
    // Reads race with a deletion: an entry that was read before it must not be used after it.
    for _ in 0..20 {
        let key: Key = app.key(&ada, json!({})).await;
        let readers = join_all((0..10).map(|_| forward(&app, &key.secret)));
        let deletion = delete(&app, &ada, &key);
        let (_, ()) = futures_util::future::join(readers, deletion).await;
        forward(&app, &key.secret).await.refused(401, "invalid_token");
        assert_rejected_within_a_second(&second, &key.secret).await;
    }
}

async fn delete(app: &TestApp, person: &Person, key: &Key) {
    app.delete(&key.path()).bearer(&person.access_token).await.expect(204);
}
