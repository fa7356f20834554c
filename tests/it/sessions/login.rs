//! Logging in and re-authenticating.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::refresh;
use crate::support::{PASSWORD, TestApp};

#[actix_web::test]
async fn a_login_accepts_address_and_username_in_any_case() {
    let app = TestApp::start();
    app.person("ada").await;
    for login in ["ada", "ADA", "ada@example.com", "Ada@EXAMPLE.com"] {
        let tokens = app.log_in(login, PASSWORD).await;
        assert_eq!(tokens["token_type"], "Bearer");
        assert_eq!(tokens["expires_in"], 600);
        assert_eq!(tokens["org"], Value::Null);
        app.get("/me")
            .bearer(tokens["access_token"].as_str().unwrap())
            .await
            .expect(200);
    }
}

#[actix_web::test]
async fn a_wrong_password_and_an_unknown_login_get_the_same_response() {
    let app = TestApp::start();
    app.person("ada").await;
    let wrong = app
        .post("/auth/login", &json!({"login": "ada", "password": "wrong"}))
        .await;
    let unknown = app
        .post("/auth/login", &json!({"login": "bob", "password": "wrong"}))
        .await;
    wrong.refused(401, "invalid_credentials");
    assert_eq!(wrong.without_request_id(), unknown.without_request_id());
}

#[actix_web::test]
async fn after_ten_failed_attempts_even_the_correct_password_is_rejected() {
    let app = TestApp::start_with(&[("KEYWARD_TRUSTED_PROXIES", "127.0.0.1")]);
    app.person("ada").await;
    let guess = |login: &'static str, password: &str, from: &str| {
        app.post("/auth/login", &json!({"login": login, "password": password}))
            .header("x-forwarded-for", from)
    };
    for login in ["ada", "nobody"] {
        let calls = (0..14).map(|_| guess(login, "wrong", "203.0.113.1").send());
        let replies = futures_util::future::join_all(calls).await;
        assert_eq!(replies.iter().filter(|reply| reply.status == 401).count(), 10);
        assert_eq!(replies.iter().filter(|reply| reply.status == 429).count(), 4);
    }
    let reply = guess("ada", PASSWORD, "203.0.113.1").await;
    reply.refused(429, "rate_limited");
    assert!(reply.header("retry-after").unwrap().parse::<u64>().unwrap() <= 900);
    // The address is a login of the same account. From another network address its owner can log in.
    let by_email = guess("ada@example.com", PASSWORD, "203.0.113.1").await;
    by_email.refused(429, "rate_limited");
    guess("ada", PASSWORD, "203.0.113.2").await.expect(200);
    app.advance(TimeDelta::minutes(16));
    guess("ada", PASSWORD, "203.0.113.1").await.expect(200);
}

#[actix_web::test]
async fn a_login_with_a_new_user_agent_notifies_the_user_but_not_the_first_login() {
    let app = TestApp::start();
    app.person("ada").await;
    assert!(app.mails_to("ada@example.com").await.is_empty());
    let body = json!({"login": "ada", "password": PASSWORD});
    app.post("/auth/login", &body)
        .header("user-agent", "Telnet/1")
        .await
        .expect(200);
    assert_eq!(app.mails_to("ada@example.com").await.len(), 1);
    app.post("/auth/login", &body)
        .header("user-agent", "Telnet/1")
        .await
        .expect(200);
    assert_eq!(app.mails_to("ada@example.com").await.len(), 1);
}

#[actix_web::test]
async fn reauthentication_needs_the_current_password_and_keeps_the_refresh_token() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    app.advance(TimeDelta::minutes(9));
    let body = json!({"current_password": "wrong"});
    let reply = app.post("/auth/reauthenticate", &body).bearer(&ada.access_token).await;
    reply.invalid(&[("#/current_password", "incorrect")]);
    let body = json!({"current_password": PASSWORD});
    let tokens = app
        .post("/auth/reauthenticate", &body)
        .bearer(&ada.access_token)
        .await
        .expect(200);
    assert_eq!(tokens["refresh_token"], Value::Null);
    refresh(&app, &ada.refresh_token).await.expect(200);
}

#[actix_web::test]
async fn registering_the_address_of_an_account_does_not_reset_its_failed_attempts() {
    let app = TestApp::start();
    app.person("ada").await;
    let attackers = "violet-kettle-orbit-saddle";
    let body = json!({"email": "ada@example.com", "password": attackers});
    app.post("/auth/register", &body).await.expect(202);
    let mut statuses = Vec::new();
    for n in 0..16 {
        let password = if n % 4 == 3 { attackers } else { "wrong" };
        let login = json!({"login": "ada@example.com", "password": password});
        statuses.push(app.post("/auth/login", &login).await.status);
    }
    assert_eq!(&statuses[..8], &[401, 401, 401, 403, 401, 401, 401, 403]);
    assert_eq!(&statuses[8..], &[401, 401, 401, 403, 401, 429, 429, 429]);
}

#[actix_web::test]
async fn a_correct_password_never_counts_as_a_failed_attempt() {
    let app = TestApp::start();
    app.person("ada").await;
    for org_id in ["nonsense", "0198a3c0-0000-7000-8000-000000000000"] {
        for _ in 0..8 {
            let login = json!({"login": "ada", "password": PASSWORD, "org_id": org_id});
            app.post("/auth/login", &login).await.refused(404, "not_found");
        }
    }
    app.log_in("ada", PASSWORD).await;
}
