//! Creating, listing, changing and deleting organisations.

use chrono::TimeDelta;
use keyward::auth::OrgRole;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp};

#[actix_web::test]
async fn the_creator_of_an_organisation_is_its_owner() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let body = json!({"name": "Analytical Engines", "description": "We build engines.", "join_policy": "request"});
    let reply = app.post("/orgs", &body).bearer(&ada.access_token).await;
    let (etag, location) = (
        reply.header("etag").unwrap().to_owned(),
        reply.header("location").unwrap().to_owned(),
    );
    let org = reply.expect(201);
    assert_eq!(org["name"], "Analytical Engines");
    assert_eq!(org["slug"], "analytical-engines");
    assert_eq!(org["description"], "We build engines.");
    assert_eq!(org["logo_url"], Value::Null);
    assert_eq!(org["join_policy"], "request");
    assert_eq!(org["role"], "owner");
    assert_eq!(org["member_count"], 1);
    assert!(location.ends_with(&format!("/orgs/{}", org["id"].as_str().unwrap())));
    let read = app
        .get(&format!("/orgs/{}", org["id"].as_str().unwrap()))
        .bearer(&ada.access_token)
        .await;
    assert_eq!(read.header("etag"), Some(etag.as_str()));
    assert_eq!(read.expect(200), org);
    assert_eq!(app.audit_actions(org["id"].as_str().unwrap()), ["org.created"]);
}

#[actix_web::test]
async fn a_unique_slug_is_derived_from_the_name() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let mut slugs = Vec::new();
    for name in ["Acme", "ACME", "acme!", "分析", "分析", "Admin", "A"] {
        let org = app.org_with(&ada, &json!({"name": name})).await;
        slugs.push(org["slug"].as_str().unwrap().to_owned());
    }
    assert_eq!(slugs, ["acme", "acme-2", "acme-3", "org-2", "org-3", "admin-2", "a-2"]);
    let taken = json!({"name": "Other", "slug": "ACME"});
    app.post("/orgs", &taken)
        .bearer(&ada.access_token)
        .await
        .refused(409, "slug_taken");
    let slugs = (0..12).map(|_| {
        app.post("/orgs", &json!({"name": "Zebra"}))
            .bearer(&ada.access_token)
            .send()
    });
    let mut slugs: Vec<String> = futures_util::future::join_all(slugs)
        .await
        .into_iter()
        .map(|reply| reply.expect(201)["slug"].as_str().unwrap().to_owned())
        .collect();
    slugs.sort();
    slugs.dedup();
    assert_eq!(slugs.len(), 12);
}

#[actix_web::test]
async fn all_invalid_fields_are_reported_at_once() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let body = json!({"name": "\u{202e}x", "slug": "a b", "description": "x".repeat(501), "join_policy": "open", "role": "owner", "id": "x"});
    app.post("/orgs", &body).bearer(&ada.access_token).await.invalid(&[
        ("#/name", "invalid_format"),
        ("#/slug", "invalid_format"),
        ("#/description", "too_long"),
        ("#/join_policy", "not_allowed"),
        ("#/role", "unknown_field"),
        ("#/id", "unknown_field"),
    ]);
    app.post("/orgs", &json!({"name": "", "slug": "lookup"}))
        .bearer(&ada.access_token)
        .await
        .invalid(&[("#/name", "too_short"), ("#/slug", "not_allowed")]);
    let list = app.get("/orgs").bearer(&ada.access_token).await.expect(200);
    assert_eq!(list, json!({"data": [], "next_cursor": null}));
}

#[actix_web::test]
async fn organisations_are_listed_in_pages() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(app.org(&ada, &format!("Org {n}")).await);
        app.advance(TimeDelta::seconds(1));
    }
    app.org(&bob, "Bobs").await;
    app.join(&made[0], &bob, OrgRole::Member).await;
    let mut seen = Vec::new();
    let mut path = "/orgs?limit=2".to_owned();
    loop {
        let page = app.get(&path).bearer(&ada.access_token).await.expect(200);
        for org in page["data"].as_array().unwrap() {
            seen.push(org["id"].as_str().unwrap().to_owned());
            assert_eq!(org["role"], "owner");
            assert_eq!(org["member_count"], if org["id"] == made[0] { 2 } else { 1 });
        }
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/orgs?limit=2&cursor={cursor}");
    }
    made.reverse();
    assert_eq!(seen, made);
    // A cursor works only for the person it was issued to.
    let page = app.get("/orgs?limit=2").bearer(&ada.access_token).await.expect(200);
    let stolen = format!("/orgs?cursor={}", page["next_cursor"].as_str().unwrap());
    app.get(&stolen)
        .bearer(&bob.access_token)
        .await
        .refused(400, "invalid_cursor");
}

#[actix_web::test]
async fn a_patch_changes_the_named_fields_and_the_etag() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let org = app.org(&ada, "Acme").await;
    app.org(&ada, "Taken").await;
    let path = format!("/orgs/{org}");
    let patch = |body: Value| app.patch(&path, &body).bearer(&ada.access_token);
    let same = patch(json!({})).await;
    let first = same.header("etag").unwrap().to_owned();
    assert_eq!(same.expect(200)["name"], "Acme");
    let changed =
        patch(json!({"name": "Acme 2", "slug": "ACME-2", "description": "x", "join_policy": "request"})).await;
    let second = changed.header("etag").unwrap().to_owned();
    assert_ne!(first, second);
    let changed = changed.expect(200);
    assert_eq!(
        (&changed["name"], &changed["slug"]),
        (&json!("Acme 2"), &json!("acme-2"))
    );
    patch(json!({"name": "Late"}))
        .header("if-match", &first)
        .await
        .refused(412, "precondition_failed");
    patch(json!({"slug": "taken"})).await.refused(409, "slug_taken");
    patch(json!({"name": null, "member_count": 3}))
        .await
        .invalid(&[("#/name", "invalid_type"), ("#/member_count", "unknown_field")]);
    let kept = patch(json!({"description": null}))
        .header("if-match", &second)
        .await
        .expect(200);
    assert_eq!((&kept["name"], &kept["description"]), (&json!("Acme 2"), &Value::Null));
    assert_eq!(app.audit_actions(&org), ["org.created", "org.changed", "org.changed"]);
}

#[actix_web::test]
async fn deleting_needs_recent_authentication_and_notifies_the_members() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Member).await;
    let bobs_token = app.switch(&org, &bob).await;
    let path = format!("/orgs/{org}");
    app.advance(TimeDelta::minutes(9));
    let fresh = app.log_in("ada", PASSWORD).await["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    app.advance(TimeDelta::seconds(61));
    app.post("/auth/refresh", &json!({"refresh_token": ada.refresh_token}))
        .await
        .expect(200);
    let stale = app
        .post("/auth/refresh", &json!({"refresh_token": ada.refresh_token}))
        .await
        .expect(200)["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    app.delete(&path)
        .bearer(&stale)
        .await
        .refused(401, "reauthentication_required");
    app.delete(&path)
        .json(&json!({"current_password": "wrong"}))
        .bearer(&stale)
        .await
        .invalid(&[("#/current_password", "incorrect")]);
    app.get(&path).bearer(&stale).await.expect(200);
    app.delete(&path).bearer(&fresh).await.expect(204);
    app.get(&path).bearer(&fresh).await.refused(404, "not_found");
    app.get("/me").bearer(&bobs_token).await.refused(401, "invalid_token");
    let mail = app.last_mail_to("bob@example.com").await;
    assert!(mail.subject.contains("Acme"), "{}", mail.subject);
    assert_eq!(app.audit_actions(&org).last().unwrap(), "org.deleted");
    // The slug can be used again.
    let again = app
        .post("/orgs", &json!({"name": "Acme"}))
        .bearer(&fresh)
        .await
        .expect(201);
    assert_eq!(again["slug"], "acme");
}

#[actix_web::test]
async fn deleting_accepts_the_password_instead_of_recent_authentication() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let org = app.org(&ada, "Acme").await;
    app.advance(TimeDelta::minutes(11));
    let token = app
        .post("/auth/refresh", &json!({"refresh_token": ada.refresh_token}))
        .await
        .expect(200)["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    app.delete(&format!("/orgs/{org}"))
        .json(&json!({"current_password": PASSWORD}))
        .bearer(&token)
        .await
        .expect(204);
}

#[actix_web::test]
async fn a_deployment_without_organisations_has_none_of_their_routes() {
    let app = TestApp::start_with(&[("KEYWARD_FEATURES_OFF", "organisations")]);
    let ada = app.person("ada").await;
    for path in ["/orgs", "/invitations", "/join-requests", "/orgs/lookup?slug=acme"] {
        app.get(path).bearer(&ada.access_token).await.refused(404, "not_found");
    }
}

#[actix_web::test]
async fn deleting_an_organisation_during_other_requests_causes_no_server_error() {
    let app = TestApp::start();
    let second = app.another();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    for round in 0..12 {
        let org = app.org(&ada, &format!("Org {round}")).await;
        app.join(&org, &bob, OrgRole::Admin).await;
        let bobs_token = app.switch(&org, &bob).await;
        let path = format!("/orgs/{org}");
        let invitation = json!({"email": "new@example.com", "role": "member"});
        let key = json!({"name": "k", "org_id": org, "current_password": PASSWORD});
        let login = json!({"login": "bob", "password": PASSWORD});
        let calls = [
            app.delete(&path).bearer(&ada.access_token),
            second.post("/auth/login", &login),
            second
                .request("POST", &format!("{path}/switch"))
                .bearer(&bob.access_token),
            app.post(&format!("{path}/invitations"), &invitation)
                .bearer(&bob.access_token),
            second.post("/api-keys", &key).bearer(&bob.access_token),
            second
                .delete(&format!("{path}/members/{}", bob.id))
                .bearer(&bob.access_token),
        ];
        let replies = futures_util::future::join_all(calls.map(crate::support::Call::send)).await;
        assert_eq!(replies[0].status, 204, "round {round}: {}", replies[0].text());
        for reply in replies {
            assert!(reply.status < 500, "round {round}: {}", reply.text());
        }
        app.get("/me").bearer(&bobs_token).await.refused(401, "invalid_token");
    }
}
