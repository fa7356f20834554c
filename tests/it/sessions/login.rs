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
async fn an_update_of_the_browser_is_no_new_device() {
    let firefox = |system: &str, version: u32| {
        format!("Mozilla/5.0 ({system}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0")
    };
    let app = TestApp::start();
    app.person("ada").await;
    for (user_agent, mails) in [
        (firefox("Windows NT 10.0", 140), 1),
        (firefox("Windows NT 10.0", 141), 1),
        (firefox("Windows NT 11.0", 142), 1),
        (firefox("X11; Linux x86_64", 142), 2),
    ] {
        app.post("/auth/login", &json!({"login": "ada", "password": PASSWORD}))
            .header("user-agent", &user_agent)
            .await
            .expect(200);
        assert_eq!(app.mails_to("ada@example.com").await.len(), mails, "{user_agent}");
    }
    // A device that was not used for 90 days is new again.
    app.advance(TimeDelta::days(91));
    app.post("/auth/login", &json!({"login": "ada", "password": PASSWORD}))
        .header("user-agent", &firefox("Windows NT 10.0", 150))
        .await
        .expect(200);
    assert_eq!(app.mails_to("ada@example.com").await.len(), 3);
}

#[actix_web::test]
async fn a_login_ignores_blanks_around_the_name() {
    let app = TestApp::start();
    app.person("ada").await;
    app.log_in(" ada\t", PASSWORD).await;
    app.log_in("  Ada@Example.com \n", PASSWORD).await;
    let inside = json!({"login": "a da", "password": PASSWORD});
    app.post("/auth/login", &inside)
        .await
        .refused(401, "invalid_credentials");
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
