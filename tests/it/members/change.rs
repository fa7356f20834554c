//! Changing and removing members, leaving, transferring the ownership.

use chrono::TimeDelta;
use keyward::auth::OrgRole;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp};

#[actix_web::test]
async fn a_role_change_takes_effect_at_once_and_notifies_the_member() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Member).await;
    let bobs_token = app.switch(&org, &bob).await;
    let path = format!("/orgs/{org}/members/{}", bob.id);
    let invitations = format!("/orgs/{org}/invitations");
    app.get(&invitations)
        .bearer(&bobs_token)
        .await
        .refused(403, "forbidden_role");
    let read = app.get(&path).bearer(&ada.access_token).await;
    let tag = read.header("etag").unwrap().to_owned();
    let changed = app
        .patch(&path, &json!({"role": "admin"}))
        .header("if-match", &tag)
        .bearer(&ada.access_token)
        .await;
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    assert_eq!(changed.expect(200)["role"], "admin");
    app.get(&invitations).bearer(&bobs_token).await.expect(200);
    assert_eq!(
        app.get("/me").bearer(&bobs_token).await.expect(200)["org"]["role"],
        "admin"
    );
    app.patch(&path, &json!({"role": "member"}))
        .header("if-match", &tag)
        .bearer(&ada.access_token)
        .await
        .refused(412, "precondition_failed");
    app.delete(&path)
        .header("if-match", &tag)
        .bearer(&ada.access_token)
        .await
        .refused(412, "precondition_failed");
    app.patch(&path, &json!({"role": "member"}))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    app.get(&invitations)
        .bearer(&bobs_token)
        .await
        .refused(403, "forbidden_role");
    assert_eq!(app.notification_counts(&bob, "member_role_changed"), (2, 0));
    assert_eq!(app.mails_to("bob@example.com").await.len(), 2);
    assert_eq!(
        app.audit_actions(&org),
        [
            "org.created",
            "session.org_switched",
            "member.changed",
            "member.changed"
        ]
    );
}

#[actix_web::test]
async fn services_can_be_disabled_for_a_member() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Member).await;
    let path = format!("/orgs/{org}/members/{}", bob.id);
    let patch = |body: Value| app.patch(&path, &body).bearer(&ada.access_token);
    let body = json!({"disabled_services": ["keyward", "keyward"]});
    assert_eq!(
        patch(body.clone()).await.expect(200)["disabled_services"],
        json!(["keyward"])
    );
    // The same list again is no change.
    patch(body).await.expect(200);
    assert_eq!(app.audit_actions(&org).len(), 2);
    patch(json!({"disabled_services": ["a b", 1], "role": "boss", "user_id": "x"}))
        .await
        .invalid(&[
            ("#/disabled_services/0", "invalid_format"),
            ("#/disabled_services/1", "invalid_type"),
            ("#/role", "not_allowed"),
            ("#/user_id", "unknown_field"),
        ]);
    assert_eq!(
        patch(json!({"disabled_services": []})).await.expect(200)["disabled_services"],
        json!([])
    );
    patch(json!({"disabled_services": ["keyward", "nothing"]}))
        .await
        .invalid(&[("#/disabled_services/1", "not_allowed")]);
    // Disabled services are not notified.
    assert_eq!(app.notification_counts(&bob, "member_role_changed"), (0, 0));
}

#[actix_web::test]
async fn a_removed_member_is_notified_and_one_who_leaves_is_not() {
    let app = TestApp::start();
    let (ada, bob, eve) = (
        app.person("ada").await,
        app.person("bob").await,
        app.person("eve").await,
    );
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Member).await;
    app.join(&org, &eve, OrgRole::Admin).await;
    app.delete(&format!("/orgs/{org}/members/{}", eve.id))
        .bearer(&eve.access_token)
        .await
        .expect(204);
    app.get(&format!("/orgs/{org}"))
        .bearer(&eve.access_token)
        .await
        .refused(404, "not_found");
    assert!(app.mails_to("eve@example.com").await.is_empty());
    app.delete(&format!("/orgs/{org}/members/{}", bob.id))
        .bearer(&ada.access_token)
        .await
        .expect(204);
    assert_eq!(app.notification_counts(&bob, "member_removed"), (1, 0));
    assert!(app.last_mail_to("bob@example.com").await.subject.contains("Acme"));
    app.delete(&format!("/orgs/{org}/members/{}", bob.id))
        .bearer(&ada.access_token)
        .await
        .refused(404, "not_found");
    assert_eq!(
        app.audit_actions(&org),
        ["org.created", "member.left", "member.removed"]
    );
}

#[actix_web::test]
async fn a_transfer_needs_the_password_and_makes_the_previous_owner_an_admin() {
    let app = TestApp::start();
    let (ada, bob, eve) = (
        app.person("ada").await,
        app.person("bob").await,
        app.person("eve").await,
    );
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Member).await;
    let path = format!("/orgs/{org}/transfer");
    let transfer = |body: Value| app.post(&path, &body).bearer(&ada.access_token);
    transfer(json!({}))
        .await
        .invalid(&[("#/user_id", "required"), ("#/current_password", "required")]);
    transfer(json!({"user_id": bob.id, "current_password": "wrong"}))
        .await
        .invalid(&[("#/current_password", "incorrect")]);
    transfer(json!({"user_id": eve.id, "current_password": PASSWORD}))
        .await
        .refused(404, "not_found");
    transfer(json!({"user_id": "x", "current_password": PASSWORD}))
        .await
        .refused(404, "not_found");
    transfer(json!({"user_id": ada.id, "current_password": PASSWORD}))
        .await
        .invalid(&[("#/user_id", "not_allowed")]);
    let owner = |name: &str| vec![(name.to_owned(), "owner".to_owned())];
    let owners = async || {
        let mut roles = app.roles(&org, &ada).await;
        roles.retain(|(_, role)| role == "owner");
        roles
    };
    assert_eq!(owners().await, owner("ada"));
    app.advance(TimeDelta::seconds(1));
    let key = "once";
    let body = json!({"user_id": bob.id, "current_password": PASSWORD});
    let done = transfer(body.clone()).header("idempotency-key", key).await.expect(200);
    assert_eq!((&done["id"], &done["role"]), (&json!(org), &json!("admin")));
    assert_eq!(owners().await, owner("bob"));
    // The client retries, as after a lost response.
    let again = transfer(body).header("idempotency-key", key).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(app.audit_actions(&org), ["org.created", "org.transferred"]);
    assert_eq!(app.notification_counts(&bob, "member_role_changed"), (1, 0));
    assert_eq!(app.notification_counts(&ada, "member_role_changed"), (0, 0));
}
