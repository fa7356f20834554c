//! Listing and ending sessions.

use serde_json::{Value, json};

use super::refresh;
use crate::support::{PASSWORD, TestApp};

#[actix_web::test]
async fn a_session_that_was_logged_out_is_rejected_by_every_instance() {
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
    // The other instance may have cached the session; it must learn of the end within a second.
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
async fn a_refresh_token_is_enough_to_log_out() {
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
async fn sessions_can_be_listed_and_ended_one_by_one_or_all_others_at_once() {
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
    let page = |query: String| {
        let call = app.get(&format!("/auth/sessions?limit=2{query}"));
        call.bearer(&ada.access_token).send()
    };
    let first = page(String::new()).await.expect(200);
    let second = page(format!("&cursor={}", first["next_cursor"].as_str().unwrap()))
        .await
        .expect(200);
    assert_eq!(second["data"].as_array().unwrap().len(), 1);
    assert_eq!(second["next_cursor"], Value::Null);
    let mut pages = first["data"].as_array().unwrap().clone();
    pages.extend(second["data"].as_array().unwrap().clone());
    assert_eq!(json!(pages), list["data"]);
    page("&cursor=x".to_owned()).await.refused(400, "invalid_cursor");
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
async fn an_outdated_cookie_does_not_prevent_a_logout() {
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

#[actix_web::test]
async fn of_more_than_100_live_sessions_the_least_recently_used_ends() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let idle = app.log_in("ada", PASSWORD).await;
    app.sql(&format!(
        "INSERT INTO sessions (id, user_id, device, ip, created_at, authenticated_at, last_used_at, expires_at) \
         SELECT gen_random_uuid(), '{id}', '', '192.0.2.1', now(), now(), now() + interval '1 minute', now() + interval '90 days' \
         FROM generate_series(1, 98); \
         UPDATE sessions SET last_used_at = now() + interval '1 minute' WHERE id <> '{idle}'",
        id = ada.id,
        idle = idle["session_id"].as_str().unwrap()
    ));
    let live = "SELECT count(*) FROM sessions WHERE ended_at IS NULL";
    assert_eq!(app.number(live), 100);
    app.advance(chrono::TimeDelta::minutes(2));
    app.log_in("ada", PASSWORD).await;
    assert_eq!(app.number(live), 100);
    let idle_token = idle["access_token"].as_str().unwrap();
    app.get("/me").bearer(idle_token).await.refused(401, "invalid_token");
    app.get("/me").bearer(&ada.access_token).await.expect(200);
    let records =
        "SELECT count(*) FROM audit_log WHERE action = 'session.created' AND details = '{\"ended_sessions\": 1}'";
    assert_eq!(app.number(records), 1);
}
