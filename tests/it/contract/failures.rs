//! Failures of the database, and instances that start at the same time.

use std::time::Duration;

use keyward::db::{Freshness, migrations};
use serde_json::json;

use crate::support::{PASSWORD, TestApp, wait_until};

#[actix_web::test]
async fn without_a_database_requests_get_503_until_it_is_back() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    app.get("/me").bearer(&ada.access_token).await.expect(200);
    app.database()
        .run_outside("ALTER DATABASE $DATABASE WITH ALLOW_CONNECTIONS false");
    app.database()
        .run_outside("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '$DATABASE'");
    for path in ["/me", "/readyz", "/auth/sessions"] {
        let reply = app.get(path).bearer(&ada.access_token).await;
        reply.refused(503, "unavailable");
        assert!(reply.header("retry-after").is_some());
    }
    let login = json!({"login": "ada", "password": PASSWORD});
    app.post("/auth/login", &login).await.refused(503, "unavailable");
    app.get("/livez").await.expect(200);
    app.database()
        .run_outside("ALTER DATABASE $DATABASE WITH ALLOW_CONNECTIONS true");
    app.get("/readyz").await.expect(200);
    app.get("/me").bearer(&ada.access_token).await.expect(200);
}

#[actix_web::test]
async fn the_pool_recovers_within_five_seconds_after_a_restart_of_the_database() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let calls = || (0..8).map(|_| app.get("/me").bearer(&ada.access_token).send());
    futures_util::future::join_all(calls()).await;
    app.database()
        .run_outside("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '$DATABASE'");
    // Sequential requests: the first failure marks all connections of the pool as suspect, and they are tested before use.
    let mut failures = 0;
    for _ in 0..12 {
        let reply = app.get("/me").bearer(&ada.access_token).await;
        assert!(matches!(reply.status, 200 | 503));
        failures += usize::from(reply.status == 503);
    }
    assert!(failures <= 1, "{failures} requests failed");
    // Sequential requests reuse one new connection; parallel ones also get the dead connections that are left.
    wait_until(Duration::from_secs(5), async || {
        let replies = futures_util::future::join_all(calls()).await;
        assert!(replies.iter().all(|reply| matches!(reply.status, 200 | 503)));
        replies.iter().all(|reply| reply.status == 200)
    })
    .await;
}

#[actix_web::test]
async fn no_request_fails_after_the_listener_has_noticed_a_lost_database() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let calls = || (0..8).map(|_| app.get("/me").bearer(&ada.access_token).send());
    futures_util::future::join_all(calls()).await;
    let changes = app.state.db.invalidation_log();
    let before = changes.read_version();
    app.database()
        .run_outside("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '$DATABASE'");
    // Cache entries that were read before the loss are stale, and new ones are not.
    let is_stale = |reading| changes.freshness(reading, []) == Freshness::Stale;
    wait_until(Duration::from_secs(10), async || {
        is_stale(before) && !is_stale(changes.read_version())
    })
    .await;
    let replies = futures_util::future::join_all(calls()).await;
    assert!(replies.iter().all(|reply| reply.status == 200));
}

#[actix_web::test]
async fn five_instances_can_migrate_an_empty_database_at_the_same_time() {
    let app = TestApp::start_unmigrated();
    app.get("/readyz").await.refused(503, "unavailable");
    let url = &app.database().url;
    std::thread::scope(|scope| {
        let migrations: Vec<_> = (0..5)
            .map(|_| scope.spawn(|| migrations::migrate(url).map_err(|error| error.to_string())))
            .collect();
        for migration in migrations {
            migration.join().unwrap().unwrap();
        }
    });
    app.get("/readyz").await.expect(200);
}
