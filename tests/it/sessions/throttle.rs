//! The throttle of wrong passwords, on every path that checks one.

use chrono::TimeDelta;
use futures_util::stream::{self, StreamExt as _};
use keyward::app::retention;
use serde_json::json;

use crate::support::{PASSWORD, Reply, TestApp};

/// An instance that takes the address of a client from `X-Forwarded-For`.
fn start() -> TestApp {
    TestApp::start_with(&[("KEYWARD_TRUSTED_PROXIES", "127.0.0.1")])
}

async fn log_in(app: &TestApp, login: &str, password: &str, from: &str) -> Reply {
    app.post("/auth/login", &json!({"login": login, "password": password}))
        .header("x-forwarded-for", from)
        .await
}

async fn fail(app: &TestApp, login: &str, from: &str, times: usize) {
    for _ in 0..times {
        log_in(app, login, "wrong", from)
            .await
            .refused(401, "invalid_credentials");
    }
}

fn refused_for_at_most(reply: &Reply, seconds: u64) {
    reply.refused(429, "rate_limited");
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=seconds).contains(&wait), "{wait}");
}

/// Copies the attempts that were made so far, with each of them once from each of `networks` networks.
fn copy_to_networks(app: &TestApp, networks: usize) {
    app.sql(&format!(
        "INSERT INTO password_attempts (throttle_key, network, attempted_at)
         SELECT throttle_key, ('198.18.0.' || n)::cidr, attempted_at FROM password_attempts, generate_series(1, {networks}) n"
    ));
}

#[actix_web::test]
async fn after_ten_failed_attempts_even_the_correct_password_is_rejected() {
    let app = start();
    app.person("ada").await;
    for login in ["ada", "nobody"] {
        let calls = (0..14).map(|_| log_in(&app, login, "wrong", "203.0.113.1"));
        let replies = futures_util::future::join_all(calls).await;
        assert_eq!(replies.iter().filter(|reply| reply.status == 401).count(), 10);
        assert_eq!(replies.iter().filter(|reply| reply.status == 429).count(), 4);
    }
    let known = log_in(&app, "ada", PASSWORD, "203.0.113.1").await;
    refused_for_at_most(&known, 900);
    let unknown = log_in(&app, "nobody", PASSWORD, "203.0.113.1").await;
    assert_eq!(known.without_request_id(), unknown.without_request_id());
    // The address is a login of the same account. From another network its owner can log in.
    let by_email = log_in(&app, "ada@example.com", PASSWORD, "203.0.113.1").await;
    refused_for_at_most(&by_email, 900);
    log_in(&app, "ada", PASSWORD, "203.0.113.2").await.expect(200);
    // Refused attempts don't prolong the wait.
    app.advance(TimeDelta::minutes(14));
    log_in(&app, "ada", "wrong", "203.0.113.1")
        .await
        .refused(429, "rate_limited");
    app.advance(TimeDelta::minutes(2));
    log_in(&app, "ada", PASSWORD, "203.0.113.1").await.expect(200);
}

#[actix_web::test]
async fn the_addresses_of_an_ipv6_64_are_one_network() {
    let app = start();
    app.person("ada").await;
    for host in 0..10 {
        fail(&app, "ada", &format!("2001:db8:0:1:{host}::{host}"), 1).await;
    }
    let reply = log_in(&app, "ada", PASSWORD, "2001:db8:0:1:ffff::1").await;
    refused_for_at_most(&reply, 900);
    log_in(&app, "ada", PASSWORD, "2001:db8:0:2::1").await.expect(200);
}

#[actix_web::test]
async fn an_ipv4_mapped_address_counts_as_its_ipv4_address() {
    let app = start();
    app.person("ada").await;
    fail(&app, "ada", "203.0.113.1", 5).await;
    fail(&app, "ada", "::ffff:203.0.113.1", 5).await;
    for from in ["203.0.113.1", "::ffff:203.0.113.1", "::ffff:cb00:7101"] {
        refused_for_at_most(&log_in(&app, "ada", PASSWORD, from).await, 900);
    }
    log_in(&app, "ada", PASSWORD, "::ffff:203.0.113.2").await.expect(200);
}

#[actix_web::test]
async fn a_network_can_fail_100_times_over_all_accounts() {
    let app = start();
    let second = app.another();
    app.people(["ada", "bob"]).await;
    let attempts = (0..130).map(|n| {
        let login = match n % 13 {
            0 => "ada".to_owned(),
            number => format!("nobody{number}"),
        };
        let app = if n % 2 == 0 { &app } else { &second };
        async move { log_in(app, &login, "wrong", "2001:db8::1").await.status }
    });
    let statuses: Vec<u16> = stream::iter(attempts).buffer_unordered(16).collect().await;
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 100);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 30);
    // Also for accounts on which no attempt failed.
    for login in ["bob", "nobody99"] {
        refused_for_at_most(&log_in(&app, login, PASSWORD, "2001:db8::2").await, 900);
    }
    for login in ["ada", "bob"] {
        log_in(&app, login, PASSWORD, "2001:db8:0:1::1").await.expect(200);
    }
    app.advance(TimeDelta::minutes(16));
    log_in(&app, "bob", PASSWORD, "2001:db8::1").await.expect(200);
}

#[actix_web::test]
async fn many_networks_together_can_fail_1000_times_on_an_account_in_an_hour() {
    let app = start();
    app.people(["ada", "bob"]).await;
    for login in ["ada", "nobody"] {
        fail(&app, login, "203.0.113.1", 9).await;
        // 9 + 9 × 110 = 999.
        copy_to_networks(&app, 110);
        fail(&app, login, "203.0.113.2", 1).await;
        let reply = log_in(&app, login, PASSWORD, "203.0.113.3").await;
        refused_for_at_most(&reply, 3600);
        log_in(&app, "bob", PASSWORD, "203.0.113.3").await.expect(200);
        app.advance(TimeDelta::minutes(59));
        let reply = log_in(&app, login, PASSWORD, "203.0.113.3").await;
        refused_for_at_most(&reply, 120);
        app.advance(TimeDelta::minutes(2));
        retention::sweep(&app.state).await.unwrap();
        assert_eq!(app.number("SELECT count(*) FROM password_attempts"), 0);
    }
    log_in(&app, "ada", PASSWORD, "203.0.113.3").await.expect(200);
}

#[actix_web::test]
async fn fewer_than_ten_networks_cannot_lock_out_the_owner() {
    let app = start();
    app.person("ada").await;
    fail(&app, "ada", "203.0.113.1", 1).await;
    copy_to_networks(&app, 8);
    // 9 × 200 attempts from 9 networks.
    app.sql(
        "INSERT INTO password_attempts (throttle_key, network, attempted_at)
         SELECT throttle_key, network, attempted_at FROM password_attempts, generate_series(1, 199)",
    );
    assert_eq!(app.number("SELECT count(*) FROM password_attempts"), 1800);
    log_in(&app, "ada", PASSWORD, "203.0.113.2").await.expect(200);
    fail(&app, "ada", "203.0.113.2", 1).await;
    let reply = log_in(&app, "ada", PASSWORD, "203.0.113.3").await;
    refused_for_at_most(&reply, 3600);
}

#[actix_web::test]
async fn a_correct_password_clears_the_attempts_on_its_account_from_its_network() {
    let app = start();
    app.people(["ada", "bob"]).await;
    for (login, from) in [("ada", "203.0.113.1"), ("ada", "203.0.113.2"), ("bob", "203.0.113.1")] {
        fail(&app, login, from, 9).await;
    }
    log_in(&app, "ada", PASSWORD, "203.0.113.1").await.expect(200);
    assert_eq!(app.number("SELECT count(*) FROM password_attempts"), 18);
    fail(&app, "ada", "203.0.113.1", 10).await;
    for (login, from) in [("ada", "203.0.113.2"), ("bob", "203.0.113.1")] {
        fail(&app, login, from, 1).await;
        refused_for_at_most(&log_in(&app, login, PASSWORD, from).await, 900);
    }
}

#[actix_web::test]
async fn every_path_that_checks_a_password_counts_in_the_same_throttle() {
    let app = start();
    let ada = app.person("ada").await;
    let wrong = "wrong-saddle-orbit-kettle";
    let attempts = |password: &'static str| {
        let new = "violet-kettle-orbit-saddle";
        let requests = [
            ("POST", "/auth/reauthenticate", json!({"current_password": password})),
            (
                "PUT",
                "/password",
                json!({"current_password": password, "new_password": new}),
            ),
            (
                "POST",
                "/email",
                json!({"current_password": password, "new_email": "new@example.com"}),
            ),
            (
                "POST",
                "/api-keys",
                json!({"name": "a key", "current_password": password}),
            ),
            ("DELETE", "/me", json!({"current_password": password})),
        ];
        requests.map(|(method, path, body)| {
            app.request(method, path)
                .json(&body)
                .header("x-forwarded-for", "203.0.113.1")
                .bearer(&ada.access_token)
        })
    };
    for _ in 0..2 {
        for call in attempts(wrong) {
            call.await.invalid(&[("#/current_password", "incorrect")]);
        }
    }
    for call in attempts(PASSWORD) {
        refused_for_at_most(&call.await, 900);
    }
    refused_for_at_most(&log_in(&app, "ada", PASSWORD, "203.0.113.1").await, 900);
    log_in(&app, "ada", PASSWORD, "203.0.113.2").await.expect(200);
}

#[actix_web::test]
async fn without_rate_limits_no_attempt_is_counted() {
    let app = TestApp::start_with(&[("KEYWARD_RATE_LIMITS", "off")]);
    app.person("ada").await;
    fail(&app, "ada", "203.0.113.1", 12).await;
    app.log_in("ada", PASSWORD).await;
    assert_eq!(app.number("SELECT count(*) FROM password_attempts"), 0);
}

#[actix_web::test]
async fn the_sweep_keeps_attempts_that_a_limit_counts() {
    let app = start();
    fail(&app, "nobody", "203.0.113.1", 3).await;
    app.advance(TimeDelta::minutes(58));
    retention::sweep(&app.state).await.unwrap();
    assert_eq!(app.number("SELECT count(*) FROM password_attempts"), 3);
    app.advance(TimeDelta::minutes(3));
    retention::sweep(&app.state).await.unwrap();
    assert_eq!(app.number("SELECT count(*) FROM password_attempts"), 0);
}

#[actix_web::test]
async fn parallel_attempts_logins_and_resets_do_not_deadlock() {
    let app = start();
    let second = app.another();
    app.people(["ada", "bob", "eve"]).await;
    let token = app.reset_token("ada@example.com").await;
    let attempts = (0..120).map(|n: usize| {
        let app = if n.is_multiple_of(2) { &app } else { &second };
        let token = token.clone();
        async move {
            if n == 60 {
                let body = json!({"token": token, "new_password": PASSWORD});
                return app.post("/password/reset", &body).await;
            }
            let login = ["ada", "bob", "eve"][n % 3];
            let password = if n.is_multiple_of(4) { "wrong" } else { PASSWORD };
            log_in(app, login, password, ["203.0.113.1", "2001:db8::1"][n % 5 % 2]).await
        }
    });
    let replies: Vec<Reply> = stream::iter(attempts).buffer_unordered(16).collect().await;
    for reply in replies {
        assert!(matches!(reply.status, 200 | 204 | 401 | 429), "{}", reply.text());
    }
    assert_eq!(
        app.number("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"),
        0
    );
}

#[actix_web::test]
async fn the_password_of_a_registration_neither_counts_nor_clears() {
    let own = "violet-kettle-orbit-saddle";
    let mut all = Vec::new();
    for email in ["ada@example.com", "free@example.com"] {
        let app = start();
        app.person("ada").await;
        app.post("/auth/register", &json!({"email": email, "password": own}))
            .await
            .expect(202);
        let mut statuses = Vec::new();
        for n in 0..26 {
            let password = if n < 12 || n % 4 == 3 { own } else { "wrong" };
            statuses.push(log_in(&app, email, password, "203.0.113.1").await.status);
        }
        statuses.push(log_in(&app, email, own, "203.0.113.1").await.status);
        all.push(statuses);
    }
    let [taken, free] = all.try_into().unwrap();
    assert_eq!(taken, free);
    assert_eq!(&taken[..12], &[403; 12]);
    assert_eq!(&taken[12..24], [401, 401, 401, 403].repeat(3));
    assert_eq!(&taken[24..], &[401, 429, 429]);
}
