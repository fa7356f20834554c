//! Requesting to join; approving, rejecting and withdrawing.

use keyward::auth::OrgRole;
use serde_json::{Value, json};

use crate::support::{Person, TestApp};

async fn open_org(app: &TestApp, owner: &Person, name: &str) -> String {
    let body = json!({"name": name, "join_policy": "request"});
    app.org_with(owner, &body).await["id"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn only_organisations_that_accept_requests_can_be_found() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let open = open_org(&app, &ada, "Open").await;
    let closed = app.org(&ada, "Closed").await;
    let look_up = |slug: &str| app.get(&format!("/orgs/lookup?slug={slug}")).bearer(&bob.access_token);
    let found = look_up("OPEN").await.expect(200);
    assert_eq!(
        found,
        json!({"id": open, "name": "Open", "slug": "open", "logo_url": null, "join_policy": "request"})
    );
    let (hidden, unknown) = (look_up("closed").await, look_up("nothing").await);
    hidden.refused(404, "not_found");
    assert_eq!(hidden.without_request_id(), unknown.without_request_id());
    look_up("%21").await.refused(404, "not_found");
    app.get("/orgs/lookup")
        .bearer(&bob.access_token)
        .await
        .invalid(&[("slug", "required")]);
    // A request to join gets the same 404, before its body is read.
    let ask = |org: &str| {
        app.post(&format!("/orgs/{org}/join-requests"), &json!({"message": 1}))
            .bearer(&bob.access_token)
    };
    let (hidden, unknown) = (ask(&closed).await, ask(&uuid::Uuid::now_v7().to_string()).await);
    hidden.refused(404, "not_found");
    assert_eq!(hidden.without_request_id(), unknown.without_request_id());
    ask(&open).await.invalid(&[("#/message", "invalid_type")]);
    assert_eq!(app.audit_actions(&closed), ["org.created"]);
}

#[actix_web::test]
async fn a_request_notifies_every_admin_until_one_decides() {
    let app = TestApp::start();
    let [ada, bob, eve, kim] = app.people(["ada", "bob", "eve", "kim"]).await;
    let org = open_org(&app, &ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Admin).await;
    app.join(&org, &eve, OrgRole::Member).await;
    let path = format!("/orgs/{org}/join-requests");
    let made = app
        .post(&path, &json!({"message": "Hello\nthere"}))
        .bearer(&kim.access_token)
        .await;
    let location = made.header("location").unwrap().to_owned();
    let made = made.expect(201);
    assert_eq!(made["state"], "pending");
    assert_eq!(made["message"], "Hello\nthere");
    assert_eq!(made["user"]["username"], "kim");
    assert_eq!(made["org"], json!({"id": org, "name": "Acme", "slug": "acme"}));
    assert_eq!((&made["reason"], &made["decided_at"]), (&Value::Null, &Value::Null));
    let id = made["id"].as_str().unwrap();
    assert!(location.ends_with(&format!("{path}/{id}")));
    let own = app
        .get(&format!("{path}/{id}"))
        .bearer(&kim.access_token)
        .await
        .expect(200);
    assert_eq!(own, made);
    app.post(&path, &json!({}))
        .bearer(&kim.access_token)
        .await
        .refused(409, "already_requested");
    app.post(&path, &json!({}))
        .bearer(&eve.access_token)
        .await
        .refused(409, "already_member");
    assert_eq!(app.notification_counts(&ada, "join_request"), (1, 0));
    assert_eq!(app.notification_counts(&bob, "join_request"), (1, 0));
    assert_eq!(app.notification_counts(&eve, "join_request"), (0, 0));
    let list = app.get(&path).bearer(&bob.access_token).await.expect(200);
    assert_eq!(list["data"], json!([made]));
    let approved = app
        .request("POST", &format!("{path}/{id}/approve"))
        .bearer(&bob.access_token)
        .await
        .expect(200);
    assert_eq!(approved["state"], "approved");
    assert_ne!(approved["decided_at"], Value::Null);
    assert_eq!(app.notification_counts(&ada, "join_request"), (1, 1));
    assert_eq!(app.notification_counts(&bob, "join_request"), (1, 1));
    assert_eq!(app.notification_counts(&kim, "join_request_decided"), (1, 0));
    assert!(app.last_mail_to("kim@example.com").await.subject.contains("Acme"));
    assert_eq!(app.roles(&org, &kim).await[3], ("kim".to_owned(), "member".to_owned()));
    for act in ["approve", "reject"] {
        app.request("POST", &format!("{path}/{id}/{act}"))
            .bearer(&ada.access_token)
            .await
            .refused(409, "invalid_state");
    }
    app.delete(&format!("{path}/{id}"))
        .bearer(&kim.access_token)
        .await
        .refused(409, "invalid_state");
    assert_eq!(
        app.audit_actions(&org),
        ["org.created", "join_request.created", "join_request.approved"]
    );
}

#[actix_web::test]
async fn a_rejected_person_reads_the_reason_and_can_request_again() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = open_org(&app, &ada, "Acme").await;
    let id = app.request_to_join(&org, &bob).await;
    let path = format!("/orgs/{org}/join-requests/{id}");
    let rejected = app
        .post(&format!("{path}/reject"), &json!({"reason": "Not now."}))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    assert_eq!(
        (&rejected["state"], &rejected["reason"]),
        (&json!("rejected"), &json!("Not now."))
    );
    assert_eq!(app.notification_counts(&bob, "join_request_decided"), (1, 0));
    let mine = app
        .get("/join-requests?state=rejected")
        .bearer(&bob.access_token)
        .await
        .expect(200);
    assert_eq!(mine["data"], json!([rejected]));
    app.get(&format!("/orgs/{org}"))
        .bearer(&bob.access_token)
        .await
        .refused(404, "not_found");
    // They can make another request.
    app.request_to_join(&org, &bob).await;
    let pending = app
        .get("/join-requests?state=pending")
        .bearer(&bob.access_token)
        .await
        .expect(200);
    assert_eq!(pending["data"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn only_the_requester_can_withdraw_a_request() {
    let app = TestApp::start();
    let [ada, bob, eve, kim] = app.people(["ada", "bob", "eve", "kim"]).await;
    let org = open_org(&app, &ada, "Acme").await;
    app.join(&org, &kim, OrgRole::Member).await;
    let id = app.request_to_join(&org, &bob).await;
    let path = format!("/orgs/{org}/join-requests/{id}");
    app.delete(&path)
        .bearer(&ada.access_token)
        .await
        .refused(403, "forbidden_role");
    app.delete(&path)
        .bearer(&kim.access_token)
        .await
        .refused(403, "forbidden_role");
    app.get(&path)
        .bearer(&kim.access_token)
        .await
        .refused(403, "forbidden_role");
    for call in [app.delete(&path), app.get(&path)] {
        call.bearer(&eve.access_token).await.refused(404, "not_found");
    }
    app.delete(&path).bearer(&bob.access_token).await.expect(204);
    assert_eq!(app.notification_counts(&ada, "join_request"), (1, 1));
    assert_eq!(
        app.get(&path).bearer(&bob.access_token).await.expect(200)["state"],
        "withdrawn"
    );
    app.delete(&path)
        .bearer(&bob.access_token)
        .await
        .refused(409, "invalid_state");
    app.request("POST", &format!("{path}/approve"))
        .bearer(&ada.access_token)
        .await
        .refused(409, "invalid_state");
    assert_eq!(app.roles(&org, &ada).await.len(), 2);
}

#[actix_web::test]
async fn approval_gives_the_named_role_and_accepts_a_pending_invitation() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = open_org(&app, &ada, "Acme").await;
    let invitation = app.invite(&org, &ada, "bob@example.com", "member").await;
    let token = app.last_mail_to("bob@example.com").await.token("invitation");
    let id = app.request_to_join(&org, &bob).await;
    app.post(
        &format!("/orgs/{org}/join-requests/{id}/approve"),
        &json!({"role": "admin"}),
    )
    .bearer(&ada.access_token)
    .await
    .expect(200);
    assert_eq!(app.roles(&org, &ada).await[1], ("bob".to_owned(), "admin".to_owned()));
    let mine = app.get("/invitations").bearer(&bob.access_token).await.expect(200);
    assert_eq!(mine["data"][0]["state"], "accepted");
    assert_eq!(app.notification_counts(&bob, "org_invitation"), (1, 1));
    app.post("/invitations/accept", &json!({"token": token}))
        .bearer(&bob.access_token)
        .await
        .refused(410, "link_expired_or_used");
    app.request("POST", &format!("/invitations/{invitation}/accept"))
        .bearer(&bob.access_token)
        .await
        .refused(409, "invalid_state");
}

#[actix_web::test]
async fn a_pending_request_survives_a_change_to_invite_only() {
    let app = TestApp::start();
    let (ada, bob, eve) = (
        app.person("ada").await,
        app.person("bob").await,
        app.person("eve").await,
    );
    let org = open_org(&app, &ada, "Acme").await;
    let id = app.request_to_join(&org, &bob).await;
    app.patch(&format!("/orgs/{org}"), &json!({"join_policy": "invite_only"}))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    let path = format!("/orgs/{org}/join-requests");
    app.request("POST", &path)
        .bearer(&eve.access_token)
        .await
        .refused(404, "not_found");
    app.get(&format!("{path}/{id}"))
        .bearer(&bob.access_token)
        .await
        .expect(200);
    app.request("POST", &format!("{path}/{id}/approve"))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    assert_eq!(app.roles(&org, &bob).await.len(), 2);
}

#[actix_web::test]
async fn repeated_requests_are_merged_into_few_emails() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = open_org(&app, &ada, "Acme").await;
    for _ in 0..12 {
        let id = app.request_to_join(&org, &bob).await;
        app.delete(&format!("/orgs/{org}/join-requests/{id}"))
            .bearer(&bob.access_token)
            .await
            .expect(204);
    }
    assert_eq!(app.mails_to("ada@example.com").await.len(), 5);
}
