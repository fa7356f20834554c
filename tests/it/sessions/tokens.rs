use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp};

async fn refresh(app: &TestApp, token: &str) -> crate::support::Reply {
    app.post("/auth/refresh", &json!({"refresh_token": token})).await
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn a_login_works_by_address_and_by_username_in_any_case() {
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
async fn a_wrong_password_and_an_unknown_login_are_refused_alike() {
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
async fn the_eleventh_guess_is_refused_even_when_right_and_for_nobody_alike() {
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
    // By the address it is the same account, and from elsewhere its owner gets in.
    let by_email = guess("ada@example.com", PASSWORD, "203.0.113.1").await;
    by_email.refused(429, "rate_limited");
    guess("ada", PASSWORD, "203.0.113.2").await.expect(200);
    app.advance(TimeDelta::minutes(16));
    guess("ada", PASSWORD, "203.0.113.1").await.expect(200);
}

#[actix_web::test]
async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_session() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let next = refresh(&app, &ada.refresh_token).await.expect(200);
    let third = refresh(&app, next["refresh_token"].as_str().unwrap()).await.expect(200);
    refresh(&app, &ada.refresh_token).await.refused(401, "invalid_token");
    refresh(&app, third["refresh_token"].as_str().unwrap())
        .await
        .refused(401, "invalid_token");
    app.get("/me")
        .bearer(third["access_token"].as_str().unwrap())
        .await
        .refused(401, "invalid_token");
    assert!(app.last_mail_to("ada@example.com").await.link().is_none());
}

#[actix_web::test]
async fn who_lost_the_answer_gets_the_same_successor_again_for_ten_seconds() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let first = refresh(&app, &ada.refresh_token).await.expect(200);
    let again = refresh(&app, &ada.refresh_token).await.expect(200);
    assert_eq!(first["refresh_token"], again["refresh_token"]);
    app.advance(TimeDelta::seconds(11));
    refresh(&app, &ada.refresh_token).await.refused(401, "invalid_token");
    refresh(&app, &text(&first["refresh_token"]))
        .await
        .refused(401, "invalid_token");
}

#[actix_web::test]
async fn fifty_refreshes_at_once_make_one_chain() {
    let app = TestApp::start();
    let second = app.another();
    let ada = app.person("ada").await;
    let calls = (0..50).map(|n| refresh(if n % 2 == 0 { &app } else { &second }, &ada.refresh_token));
    let replies = futures_util::future::join_all(calls).await;
    let mut tokens: Vec<String> = replies
        .into_iter()
        .map(|reply| text(&reply.expect(200)["refresh_token"]))
        .collect();
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
}

#[actix_web::test]
async fn a_session_ends_after_thirty_days_unused_and_after_ninety_in_any_case() {
    let app = TestApp::start();
    let idle = app.person("ada").await;
    let mut used = app.person("bob").await.refresh_token;
    for _ in 0..3 {
        app.advance(TimeDelta::days(29));
        used = text(&refresh(&app, &used).await.expect(200)["refresh_token"]);
    }
    refresh(&app, &idle.refresh_token).await.refused(401, "invalid_token");
    app.advance(TimeDelta::days(3));
    refresh(&app, &used).await.refused(401, "invalid_token");
}

#[actix_web::test]
async fn a_session_that_was_logged_out_is_refused_on_every_instance() {
    let app = TestApp::start();
    let second = app.another();
    let ada = app.person("ada").await;
    second.get("/me").bearer(&ada.access_token).await.expect(200);
    app.request("POST", "/auth/logout")
        .bearer(&ada.access_token)
        .await
        .expect(204);
    app.get("/me")
        .bearer(&ada.access_token)
        .await
        .refused(401, "invalid_token");
    // The other instance may remember the session for a moment.
    let ended = std::time::Instant::now();
    while second.get("/me").bearer(&ada.access_token).await.status == 200 {
        assert!(ended.elapsed() < std::time::Duration::from_secs(1));
    }
    second
        .get("/me")
        .bearer(&ada.access_token)
        .await
        .refused(401, "invalid_token");
    refresh(&second, &ada.refresh_token).await.refused(401, "invalid_token");
}

#[actix_web::test]
async fn the_refresh_token_alone_logs_out() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    app.post("/auth/logout", &json!({"refresh_token": ada.refresh_token}))
        .await
        .expect(204);
    app.get("/me")
        .bearer(&ada.access_token)
        .await
        .refused(401, "invalid_token");
    app.post("/auth/logout", &json!({"refresh_token": "x"}))
        .await
        .refused(401, "invalid_token");
    app.request("POST", "/auth/logout")
        .await
        .refused(401, "authentication_required");
}

#[actix_web::test]
async fn sessions_are_listed_and_ended_one_by_one_or_all_but_this() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let others = [app.log_in("ada", PASSWORD).await, app.log_in("ada", PASSWORD).await];
    let list = app.get("/auth/sessions").bearer(&ada.access_token).await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 3);
    let current: Vec<&Value> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|session| session["current"] == true)
        .collect();
    assert_eq!(current.len(), 1);
    assert_eq!(current[0]["id"], ada.session_id);
    let path = format!("/auth/sessions/{}", others[0]["session_id"].as_str().unwrap());
    let bob = app.person("bob").await;
    app.delete(&path)
        .bearer(&bob.access_token)
        .await
        .refused(404, "not_found");
    app.delete(&path).bearer(&ada.access_token).await.expect(204);
    app.delete(&path)
        .bearer(&ada.access_token)
        .await
        .refused(404, "not_found");
    app.get("/me")
        .bearer(others[0]["access_token"].as_str().unwrap())
        .await
        .refused(401, "invalid_token");
    app.get("/me")
        .bearer(others[1]["access_token"].as_str().unwrap())
        .await
        .expect(200);
    app.delete("/auth/sessions").bearer(&ada.access_token).await.expect(204);
    app.get("/me")
        .bearer(others[1]["access_token"].as_str().unwrap())
        .await
        .refused(401, "invalid_token");
    app.get("/me").bearer(&ada.access_token).await.expect(200);
}

#[actix_web::test]
async fn a_new_program_is_announced_but_never_the_first_login() {
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
async fn the_refresh_cookie_serves_its_own_site_only() {
    let app = TestApp::start();
    app.person("ada").await;
    let body = json!({"login": "ada", "password": PASSWORD, "token_delivery": "cookie"});
    let reply = app.post("/auth/login", &body).await;
    let cookie = reply.header("set-cookie").unwrap().to_owned();
    for attribute in [
        "__Secure-keyward_refresh=",
        "HttpOnly",
        "Secure",
        "SameSite=Strict",
        "Path=/auth",
        "Max-Age=",
    ] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert_eq!(reply.expect(200)["refresh_token"], Value::Null);
    let pair = cookie.split(';').next().unwrap().to_owned();
    let call = || app.post("/auth/refresh", &json!({})).header("cookie", &pair);
    call()
        .header("origin", "https://evil.example")
        .await
        .refused(403, "cross_site_request");
    call()
        .header("sec-fetch-site", "cross-site")
        .await
        .refused(403, "cross_site_request");
    let reply = call().header("origin", "https://app.keyward.test").await;
    assert!(reply.header("set-cookie").is_some());
    assert_eq!(reply.expect(200)["refresh_token"], Value::Null);
    app.post("/auth/refresh", &json!({}))
        .await
        .refused(401, "invalid_token");
}

#[actix_web::test]
async fn showing_the_password_again_makes_the_session_fresh() {
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
async fn an_access_token_opens_no_other_door() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    refresh(&app, &ada.access_token).await.refused(401, "invalid_token");
    app.get("/me")
        .bearer(&ada.refresh_token)
        .await
        .refused(401, "invalid_token");
    app.post("/auth/verify-email", &json!({"token": ada.refresh_token}))
        .await
        .refused(410, "link_expired_or_used");
    app.advance(TimeDelta::seconds(606));
    app.get("/me")
        .bearer(&ada.access_token)
        .await
        .refused(401, "invalid_token");
}

#[actix_web::test]
async fn signing_up_with_a_victims_address_takes_no_guesses_back() {
    let app = TestApp::start();
    app.person("ada").await;
    let attackers = "violet-kettle-orbit-saddle";
    let body = json!({"email": "ada@example.com", "password": attackers});
    app.post("/auth/register", &body).await.expect(202);
    let mut statuses = Vec::new();
    for n in 0..14 {
        let password = if n % 4 == 3 { attackers } else { "wrong" };
        let login = json!({"login": "ada@example.com", "password": password});
        statuses.push(app.post("/auth/login", &login).await.status);
    }
    assert_eq!(&statuses[..10], &[401, 401, 401, 403, 401, 401, 401, 403, 401, 401]);
    assert_eq!(&statuses[10..], &[429; 4]);
}

#[actix_web::test]
async fn a_right_password_is_no_guess_wherever_it_leads() {
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

#[actix_web::test]
async fn a_cookie_left_over_does_not_keep_anybody_from_logging_out() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let reply = app
        .request("POST", "/auth/logout")
        .bearer(&ada.access_token)
        .header("cookie", "__Secure-keyward_refresh=stale")
        .await;
    assert!(reply.header("set-cookie").unwrap().contains("Max-Age=0"));
    reply.expect(204);
    app.get("/me")
        .bearer(&ada.access_token)
        .await
        .refused(401, "invalid_token");
}
