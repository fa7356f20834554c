//! API keys in organisation routes.

use keyward::auth::OrgRole;
use keyward::orgs::OrgPermission;
use serde_json::{Value, json};

use crate::support::{Person, TestApp};

fn ids(page: &Value) -> Vec<&str> {
    let data = page["data"].as_array().unwrap();
    data.iter().map(|org| org["id"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn a_key_bound_to_an_organisation_sees_only_that_one() {
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
    let one = app.get(&format!("/orgs/{first}")).bearer(&bound.secret);
    assert_eq!(one.await.expect(200)["id"], first.as_str());
    let foreign = app.get(&format!("/orgs/{second}")).bearer(&bound.secret).await;
    foreign.refused(404, "not_found");
    let random = app
        .get(&format!("/orgs/{}", uuid::Uuid::now_v7()))
        .bearer(&bound.secret);
    assert_eq!(foreign.without_request_id(), random.await.without_request_id());
    let personal = app.key(&ada, json!({"scopes": ["orgs:read"]})).await;
    for org in [&first, &second] {
        let one = app
            .get(&format!("/orgs/{org}"))
            .bearer(&personal.secret)
            .await
            .expect(200);
        assert_eq!(one["id"], org.as_str());
    }
    let page = app.get("/orgs").bearer(&personal.secret).await.expect(200);
    assert_eq!(ids(&page), [second.as_str(), first.as_str()]);
    let without = app.key(&ada, json!({"org_id": first})).await;
    for path in ["/orgs".to_owned(), format!("/orgs/{first}")] {
        let reply = app.get(&path).bearer(&without.secret).await;
        reply.refused(403, "insufficient_scope");
    }
}

/// Status and code of the response to each route of the permission table, called with an API key. The member in the path is
/// the owner of the key.
async fn call_every_route(
    app: &TestApp,
    org: &str,
    person: &Person,
    secret: &str,
) -> Vec<(OrgPermission, u16, String)> {
    let document = app.get("/openapi.json").await.expect(200);
    let mut results = Vec::new();
    for permission in OrgPermission::ALL.iter().copied() {
        let (method, path) = permission.route();
        if !document["paths"][path.replace("{own_id}", "{user_id}")][method.to_lowercase()].is_object() {
            continue;
        }
        let path = path
            .replace("{org_id}", org)
            .replace("{user_id}", &person.id.to_string())
            .replace("{own_id}", &person.id.to_string());
        let path = path
            .split('/')
            .map(|part| if part.starts_with('{') { "x" } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        let reply = app.request(method, &path).bearer(secret).await;
        let code = reply.json()["code"].as_str().unwrap_or_default().to_owned();
        results.push((permission, reply.status, code));
    }
    results
}

#[actix_web::test]
async fn keys_can_only_read_the_organisation_and_its_members_whatever_the_role_of_their_owner() {
    let app = TestApp::start();
    let [ada, bob, eve, kim, max] = app.people(["ada", "bob", "eve", "kim", "max"]).await;
    let org = app.org(&ada, "Acme").await;
    let others = app.org(&max, "Other").await;
    for (person, role) in [(&bob, OrgRole::Admin), (&eve, OrgRole::Member), (&kim, OrgRole::Admin)] {
        app.join(&org, person, role).await;
    }
    let scopes = json!([
        "me:read",
        "me:write",
        "keys:read",
        "orgs:read",
        "members:read",
        "notifications:read"
    ]);
    let key = async |person: &Person, org: &str| app.key(person, json!({"org_id": org, "scopes": scopes})).await.secret;
    let former = key(&kim, &org).await;
    app.delete(&format!("/orgs/{org}/members/{}", kim.id))
        .bearer(&kim.access_token)
        .await
        .expect(204);
    for (person, secret, on_read_routes) in [
        (&ada, key(&ada, &org).await, (200, "")),
        (&bob, key(&bob, &org).await, (200, "")),
        (&eve, key(&eve, &org).await, (200, "")),
        (&max, key(&max, &others).await, (404, "not_found")),
    ] {
        for (permission, status, code) in call_every_route(&app, &org, person, &secret).await {
            let expected = match permission {
                OrgPermission::ReadOrg | OrgPermission::ListMembers | OrgPermission::ReadMember => on_read_routes,
                _ => (403, "session_required"),
            };
            assert_eq!(
                (status, code.as_str()),
                expected,
                "{permission:?} by a key of {}",
                person.username
            );
        }
    }
    for (permission, status, code) in call_every_route(&app, &org, &kim, &former).await {
        assert_eq!((status, code.as_str()), (401, "invalid_token"), "{permission:?}");
    }
    let secret = key(&ada, &org).await;
    for (method, path) in [
        ("POST", "/orgs"),
        ("GET", "/orgs/lookup"),
        ("GET", "/invitations"),
        ("POST", "/invitations/accept"),
        ("GET", "/join-requests"),
    ] {
        app.request(method, path)
            .bearer(&secret)
            .await
            .refused(403, "session_required");
    }
}

#[actix_web::test]
async fn keys_stop_working_for_good_with_the_membership_or_the_organisation() {
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
