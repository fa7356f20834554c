//! Refreshing: rotation, reuse detection, the refresh cookie.

use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use serde_json::{Value, json};

use super::{refresh, text};
use crate::support::{PASSWORD, TestApp};

#[actix_web::test]
async fn reuse_of_a_refresh_token_ends_the_session() {
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
async fn a_retry_within_60_seconds_gets_the_same_refresh_token() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let first = refresh(&app, &ada.refresh_token).await.expect(200);
    app.advance(TimeDelta::seconds(50));
    let again = refresh(&app, &ada.refresh_token).await.expect(200);
    assert_eq!(first["refresh_token"], again["refresh_token"]);
    app.advance(TimeDelta::seconds(11));
    refresh(&app, &ada.refresh_token).await.refused(401, "invalid_token");
    refresh(&app, &text(&first["refresh_token"]))
        .await
        .refused(401, "invalid_token");
}

#[actix_web::test]
async fn an_old_refresh_token_ends_the_session_however_often_it_was_refreshed_since() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let rows = "SELECT count(*) FROM sessions";
    let before = app.number(rows);
    let second = text(&refresh(&app, &ada.refresh_token).await.expect(200)["refresh_token"]);
    let mut newest = second.clone();
    for _ in 0..20 {
        newest = text(&refresh(&app, &newest).await.expect(200)["refresh_token"]);
    }
    assert_eq!(app.number(rows), before);
    refresh(&app, &second).await.refused(401, "invalid_token");
    refresh(&app, &newest).await.refused(401, "invalid_token");
    let reused = "SELECT count(*) FROM sessions WHERE end_reason = 'token_reused'";
    assert_eq!(app.number(reused), 1);
}

#[actix_web::test]
async fn a_token_that_the_database_does_not_know_yet_is_refused_and_ends_nothing() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let second = text(&refresh(&app, &ada.refresh_token).await.expect(200)["refresh_token"]);
    // As after a restore from a backup that was made before the refresh.
    let restore = "UPDATE sessions SET refresh_generation = 0, refreshed_at = NULL";
    app.connect().batch_execute(restore).unwrap();
    refresh(&app, &second).await.refused(401, "invalid_token");
    refresh(&app, &ada.refresh_token).await.expect(200);
}

#[actix_web::test]
async fn fifty_parallel_refreshes_get_the_same_refresh_token() {
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
async fn a_session_expires_after_30_days_without_a_refresh_and_after_90_days() {
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
async fn the_refresh_cookie_is_rejected_from_other_sites() {
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
async fn access_and_refresh_tokens_are_not_interchangeable() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    refresh(&app, &ada.access_token).await.refused(401, "invalid_token");
    app.get("/me")
        .bearer(&ada.refresh_token)
        .await
        .refused(401, "invalid_token");
    let body = json!({"token": ada.refresh_token, "password": PASSWORD});
    app.post("/auth/verify-email", &body)
        .await
        .refused(410, "link_expired_or_used");
    app.advance(TimeDelta::seconds(606));
    app.get("/me")
        .bearer(&ada.access_token)
        .await
        .refused(401, "invalid_token");
}
