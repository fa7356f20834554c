//! Trouble underneath: no database, a database that comes back, instances that start at once.

use keyward::db::{Freshness, migrations};
use serde_json::json;

use crate::support::{PASSWORD, TestApp};

#[actix_web::test]
async fn without_a_database_it_is_503_and_never_a_wrong_refusal_and_afterwards_it_works_again() {
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
async fn after_a_restart_of_the_database_it_recovers_by_itself_within_five_seconds() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let calls = || (0..8).map(|_| app.get("/me").bearer(&ada.access_token).send());
    futures_util::future::join_all(calls()).await;
    app.database()
        .run_outside("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '$DATABASE'");
    // One after the other: whoever meets a dead connection is the last to, for then all are tested before they are used.
    let mut noticed = 0;
    for _ in 0..12 {
        let reply = app.get("/me").bearer(&ada.access_token).await;
        assert!(matches!(reply.status, 200 | 503));
        noticed += usize::from(reply.status == 503);
    }
    assert!(noticed <= 1, "{noticed} requests noticed");
    // Side by side, a connection that was made meanwhile may have hidden the dead ones until now.
    let started = std::time::Instant::now();
    loop {
        let replies = futures_util::future::join_all(calls()).await;
        assert!(replies.iter().all(|reply| matches!(reply.status, 200 | 503)));
        if replies.iter().all(|reply| reply.status == 200) {
            break;
        }
        assert!(started.elapsed().as_secs() < 5, "still refusing after five seconds");
    }
}

#[actix_web::test]
async fn once_the_listener_has_noticed_that_the_database_was_lost_no_request_does() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let calls = || (0..8).map(|_| app.get("/me").bearer(&ada.access_token).send());
    futures_util::future::join_all(calls()).await;
    let changes = app.state.db.invalidation_log();
    let before = changes.read_version();
    app.database()
        .run_outside("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '$DATABASE'");
    // What was read before the loss does not count any more, and what is read now does.
    let is_stale = |reading| changes.freshness(reading, []) == Freshness::Stale;
    while !is_stale(before) || is_stale(changes.read_version()) {
        tokio::task::yield_now().await;
    }
    let replies = futures_util::future::join_all(calls()).await;
    assert!(replies.iter().all(|reply| reply.status == 200));
}

#[actix_web::test]
async fn five_instances_may_migrate_an_empty_database_at_once() {
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
