//! Organisations and API keys.

use keyward::auth::OrgRole;
use keyward::orgs::OrgAct;
use serde_json::{Value, json};

use crate::support::TestApp;

fn ids(page: &Value) -> Vec<&str> {
    let id = |org: &'_ Value| org["id"].as_str().map(str::len);
    assert!(page["data"].as_array().unwrap().iter().all(|org| id(org) == Some(36)));
    page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|org| org["id"].as_str().unwrap())
        .collect()
}

#[actix_web::test]
async fn a_key_that_is_bound_to_an_organisation_sees_that_one_only() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let (first, second) = (app.org(&ada, "First").await, app.org(&ada, "Second").await);
    let scopes = json!(["orgs:read", "members:read"]);
    let bound = app.key(&ada, json!({"org_id": first, "scopes": scopes})).await;
    let page = app.get("/orgs").bearer(&bound.secret).await.expect(200);
    assert_eq!(ids(&page), [first.as_str()]);
    app.get(&format!("/orgs/{first}/members"))
        .bearer(&bound.secret)
        .await
        .expect(200);
    let foreign = app.get(&format!("/orgs/{second}/members")).bearer(&bound.secret).await;
    foreign.refused(404, "not_found");
    let random = app
        .get(&format!("/orgs/{}/members", uuid::Uuid::now_v7()))
        .bearer(&bound.secret)
        .await;
    assert_eq!(foreign.without_request_id(), random.without_request_id());
    app.get(&format!("/orgs/{second}/members/{}", ada.id))
        .bearer(&bound.secret)
        .await
        .refused(404, "not_found");
    let personal = app.key(&ada, json!({"scopes": ["orgs:read"]})).await;
    let page = app.get("/orgs").bearer(&personal.secret).await.expect(200);
    assert_eq!(ids(&page), [second.as_str(), first.as_str()]);
    let without = app.key(&ada, json!({"org_id": first})).await;
    app.get("/orgs")
        .bearer(&without.secret)
        .await
        .refused(403, "insufficient_scope");
}

#[actix_web::test]
async fn of_all_acts_keys_may_only_see_the_members() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let org = app.org(&ada, "Acme").await;
    let scopes = json!([
        "me:read",
        "me:write",
        "keys:read",
        "orgs:read",
        "members:read",
        "notifications:read"
    ]);
    let key = app.key(&ada, json!({"org_id": org, "scopes": scopes})).await;
    let document = app.get("/openapi.json").await.expect(200);
    for act in OrgAct::ALL {
        let (method, path) = act.route();
        if !document["paths"][path.replace("{own_id}", "{user_id}")][method.to_lowercase()].is_object() {
            continue;
        }
        let path = path
            .replace("{org_id}", &org)
            .replace("{user_id}", &ada.id.to_string())
            .replace("{own_id}", &ada.id.to_string());
        let path = path
            .split('/')
            .map(|part| if part.starts_with('{') { "x" } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        let reply = app.request(method, &path).bearer(&key.secret).await;
        if matches!(act, OrgAct::ListMembers | OrgAct::ReadMember) {
            reply.expect(200);
        } else {
            reply.refused(403, "session_required");
        }
    }
    for (method, path) in [
        ("POST", "/orgs"),
        ("GET", "/orgs/lookup"),
        ("GET", "/invitations"),
        ("POST", "/invitations/accept"),
        ("GET", "/join-requests"),
    ] {
        app.request(method, path)
            .bearer(&key.secret)
            .await
            .refused(403, "session_required");
    }
}

#[actix_web::test]
async fn the_keys_of_who_goes_are_dead_for_good_and_those_of_an_organisation_that_ends_too() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Member).await;
    let bobs = app.key(&bob, json!({"org_id": org, "scopes": ["orgs:read"]})).await;
    let adas = app.key(&ada, json!({"org_id": org, "scopes": ["orgs:read"]})).await;
    app.get("/orgs").bearer(&bobs.secret).await.expect(200);
    app.delete(&format!("/orgs/{org}/members/{}", bob.id))
        .bearer(&ada.access_token)
        .await
        .expect(204);
    app.get("/orgs")
        .bearer(&bobs.secret)
        .await
        .refused(401, "invalid_token");
    let id = app.invite(&org, &ada, "bob@example.com", "member").await;
    app.request("POST", &format!("/invitations/{id}/accept"))
        .bearer(&bob.access_token)
        .await
        .expect(200);
    app.get("/orgs")
        .bearer(&bobs.secret)
        .await
        .refused(401, "invalid_token");
    app.delete(&format!("/orgs/{org}"))
        .bearer(&ada.access_token)
        .await
        .expect(204);
    app.get("/orgs")
        .bearer(&adas.secret)
        .await
        .refused(401, "invalid_token");
}
