//! More requests that check a password than the cores can serve.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{PASSWORD, Reply, TestApp};

/// Far more than the cores check within two seconds, with [`app`].
const REQUESTS: usize = 400;

/// Hashes take about 15 ms, so some hundred requests may wait.
fn app(rate_limits: &str) -> TestApp {
    TestApp::start_with(&[
        ("KEYWARD_ARGON2_MEMORY_KIB", "19456"),
        ("KEYWARD_ARGON2_ITERATIONS", "1"),
        ("KEYWARD_RATE_LIMITS", rate_limits),
        ("KEYWARD_TRUSTED_PROXIES", "127.0.0.1"),
    ])
}

/// Logs in without an account, each time with another login.
async fn log_in(app: &TestApp, number: usize, ip: &str) -> Reply {
    let login = json!({"login": format!("nobody{number}"), "password": PASSWORD});
    app.post("/auth/login", &login).header("x-forwarded-for", ip).await
}

fn count(replies: &[Reply], status: u16) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}

#[actix_web::test]
async fn logins_that_would_wait_too_long_get_503_at_once() {
    let app = app("off");
    let started = Instant::now();
    let timed = async |number| (log_in(&app, number, "192.0.2.1").await, started.elapsed());
    let replies = join_all((0..REQUESTS).map(timed)).await;
    let mut refused_after: Vec<Duration> = Vec::new();
    for (reply, time) in &replies {
        if reply.status == 503 {
            reply.refused(503, "unavailable");
            assert!(reply.header("retry-after").is_some());
            refused_after.push(*time);
        } else {
            reply.refused(401, "invalid_credentials");
        }
    }
    assert!(!refused_after.is_empty() && refused_after.len() < REQUESTS);
    refused_after.sort_unstable();
    assert!(refused_after[refused_after.len() / 2] < Duration::from_secs(5));
    log_in(&app, 0, "192.0.2.1").await.refused(401, "invalid_credentials");
}

#[actix_web::test]
async fn one_network_leaves_places_to_others_and_its_refused_logins_are_no_attempts() {
    let app = app("on");
    let of_one = join_all((0..REQUESTS).map(|number| log_in(&app, number, "192.0.2.1")));
    let of_another = async {
        let mut replies = Vec::new();
        while replies.len() < 3 {
            replies.push(log_in(&app, replies.len(), "192.0.2.2").await);
        }
        replies
    };
    let (of_one, of_another) = futures_util::future::join(of_one, of_another).await;
    assert!(count(&of_one, 429) > 0);
    for reply in of_one.iter().filter(|reply| reply.status == 429) {
        reply.refused(429, "rate_limited");
        assert!(reply.header("retry-after").is_some() && reply.header("ratelimit").is_some());
    }
    assert_eq!(count(&of_another, 429), 0);
    let checked = count(&of_one, 401) + count(&of_another, 401);
    assert!(checked > 0);
    let attempts = app.number("SELECT count(*) FROM password_attempts");
    assert_eq!(usize::try_from(attempts).unwrap(), checked);
}
