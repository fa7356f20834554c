//! Switching a session to an organisation.

use chrono::TimeDelta;
use keyward::auth::OrgRole;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp};

#[actix_web::test]
async fn a_switch_applies_to_the_next_login_but_not_to_older_access_tokens() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let (first, second) = (app.org(&ada, "First").await, app.org(&ada, "Second").await);
    let tokens = app
        .request("POST", &format!("/orgs/{first}/switch"))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    assert_eq!(tokens["refresh_token"], Value::Null);
    assert_eq!(tokens["session_id"], ada.session_id);
    assert_eq!(
        tokens["org"],
        json!({"id": first, "name": "First", "slug": "first", "role": "owner"})
    );
    let first_token = tokens["access_token"].as_str().unwrap();
    assert_eq!(app.get("/me").bearer(first_token).await.expect(200)["org"]["id"], first);
    // An access token that was issued before the switch keeps its organisation.
    assert_eq!(
        app.get("/me").bearer(&ada.access_token).await.expect(200)["org"],
        Value::Null
    );
    let second_token = app.switch(&second, &ada).await;
    assert_eq!(app.get("/me").bearer(first_token).await.expect(200)["org"]["id"], first);
    assert_eq!(
        app.get("/me").bearer(&second_token).await.expect(200)["org"]["id"],
        second
    );
    let next = app
        .post("/auth/refresh", &json!({"refresh_token": ada.refresh_token}))
        .await
        .expect(200);
    assert_eq!(next["org"]["id"], second);
    assert_eq!(app.log_in("ada", PASSWORD).await["org"]["id"], second);
}

#[actix_web::test]
async fn a_non_member_cannot_switch_to_an_organisation() {
    let app = TestApp::start();
    let (ada, eve) = (app.person("ada").await, app.person("eve").await);
    let org = app.org(&ada, "Acme").await;
    let foreign = app
        .request("POST", &format!("/orgs/{org}/switch"))
        .bearer(&eve.access_token)
        .await;
    let random = app
        .request("POST", &format!("/orgs/{}/switch", uuid::Uuid::now_v7()))
        .bearer(&eve.access_token)
        .await;
    foreign.refused(404, "not_found");
    assert_eq!(foreign.without_request_id(), random.without_request_id());
    assert_eq!(app.log_in("eve", PASSWORD).await["org"], Value::Null);
}

#[actix_web::test]
async fn a_lost_membership_invalidates_the_token_and_the_next_refresh_has_no_organisation() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Member).await;
    let bobs_token = app.switch(&org, &bob).await;
    app.delete(&format!("/orgs/{org}/members/{}", bob.id))
        .bearer(&ada.access_token)
        .await
        .expect(204);
    app.get("/me").bearer(&bobs_token).await.refused(401, "invalid_token");
    app.advance(TimeDelta::seconds(1));
    let next = app
        .post("/auth/refresh", &json!({"refresh_token": bob.refresh_token}))
        .await
        .expect(200);
    assert_eq!(next["org"], Value::Null);
    app.post(
        "/auth/refresh",
        &json!({"refresh_token": next["refresh_token"], "org_id": org}),
    )
    .await
    .refused(404, "not_found");
}
