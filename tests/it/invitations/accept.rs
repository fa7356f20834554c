//! Accepting and declining invitations.

use chrono::TimeDelta;
use keyward::auth::OrgRole;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Person, TestApp};

fn by_link(app: &TestApp, token: &str, person: &Person) -> crate::support::Call {
    app.post("/invitations/accept", &json!({"token": token}))
        .bearer(&person.access_token)
}

fn by_id(app: &TestApp, id: &str, act: &str, person: &Person) -> crate::support::Call {
    app.request("POST", &format!("/invitations/{id}/{act}"))
        .bearer(&person.access_token)
}

#[actix_web::test]
async fn accepting_makes_the_person_a_member_with_the_offered_role() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    let id = app.invite(&org, &ada, "bob@example.com", "admin").await;
    let token = app.last_mail_to("bob@example.com").await.token("invitation");
    let accepted = by_id(&app, &id, "accept", &bob).await.expect(200);
    assert_eq!(accepted["state"], "accepted");
    assert_eq!(app.roles(&org, &bob).await[1], ("bob".to_owned(), "admin".to_owned()));
    assert_eq!(app.notification_counts(&bob, "org_invitation"), (1, 1));
    by_id(&app, &id, "accept", &bob).await.refused(409, "invalid_state");
    by_id(&app, &id, "decline", &bob).await.refused(409, "invalid_state");
    by_link(&app, &token, &bob).await.refused(410, "link_expired_or_used");
    app.delete(&format!("/orgs/{org}/invitations/{id}"))
        .bearer(&ada.access_token)
        .await
        .refused(409, "invalid_state");
    assert_eq!(
        app.audit_actions(&org),
        ["org.created", "invitation.created", "invitation.accepted"]
    );
}

#[actix_web::test]
async fn accepting_by_id_needs_the_invited_address_and_by_token_any_account() {
    let app = TestApp::start();
    let (ada, bob, eve) = (
        app.person("ada").await,
        app.person("bob").await,
        app.person("eve").await,
    );
    let org = app.org(&ada, "Acme").await;
    let id = app.invite(&org, &ada, "bob@example.com", "member").await;
    for act in ["accept", "decline"] {
        let foreign = by_id(&app, &id, act, &eve).await;
        let random = by_id(&app, &uuid::Uuid::now_v7().to_string(), act, &eve).await;
        foreign.refused(404, "not_found");
        assert_eq!(foreign.without_request_id(), random.without_request_id());
    }
    let mine = app.get("/invitations").bearer(&eve.access_token).await.expect(200);
    assert_eq!(mine["data"], json!([]));
    // The mailed token can be used by an account with another address.
    let token = app.last_mail_to("bob@example.com").await.token("invitation");
    by_link(&app, &token, &eve).await.expect(200);
    assert_eq!(app.roles(&org, &ada).await.len(), 2);
    by_id(&app, &id, "accept", &bob).await.refused(409, "invalid_state");
    app.get(&format!("/orgs/{org}"))
        .bearer(&bob.access_token)
        .await
        .refused(404, "not_found");
}

#[actix_web::test]
async fn a_new_account_sees_the_invitations_for_its_address() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let org = app.org(&ada, "Acme").await;
    let id = app.invite(&org, &ada, "new@example.com", "member").await;
    let new = app.person("new").await;
    let mine = app
        .get("/invitations?state=pending")
        .bearer(&new.access_token)
        .await
        .expect(200);
    assert_eq!(mine["data"][0]["id"], id);
    by_id(&app, &id, "accept", &new).await.expect(200);
    assert_eq!(app.roles(&org, &new).await.len(), 2);
}

#[actix_web::test]
async fn an_invitation_expires_after_seven_days() {
    let app = TestApp::start();
    let (ada, mut bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    let id = app.invite(&org, &ada, "bob@example.com", "member").await;
    let token = app.last_mail_to("bob@example.com").await.token("invitation");
    app.advance(TimeDelta::days(7));
    bob.access_token = app.log_in("bob", PASSWORD).await["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    by_id(&app, &id, "accept", &bob).await.refused(409, "invalid_state");
    by_id(&app, &id, "decline", &bob).await.refused(409, "invalid_state");
    by_link(&app, &token, &bob).await.refused(410, "link_expired_or_used");
    let mine = app.get("/invitations").bearer(&bob.access_token).await.expect(200);
    assert_eq!(mine["data"][0]["state"], "expired");
    app.get(&format!("/orgs/{org}"))
        .bearer(&bob.access_token)
        .await
        .refused(404, "not_found");
}

#[actix_web::test]
async fn a_person_who_declined_can_be_invited_again() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    let id = app.invite(&org, &ada, "bob@example.com", "member").await;
    let token = app.last_mail_to("bob@example.com").await.token("invitation");
    assert_eq!(by_id(&app, &id, "decline", &bob).await.expect(200)["state"], "declined");
    assert_eq!(app.notification_counts(&bob, "org_invitation"), (1, 1));
    by_id(&app, &id, "accept", &bob).await.refused(409, "invalid_state");
    by_link(&app, &token, &bob).await.refused(410, "link_expired_or_used");
    app.invite(&org, &ada, "bob@example.com", "member").await;
    assert_eq!(
        app.audit_actions(&org),
        [
            "org.created",
            "invitation.created",
            "invitation.declined",
            "invitation.created"
        ]
    );
}

#[actix_web::test]
async fn a_member_who_follows_the_link_of_another_person_does_not_use_it_up() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    let id = app.invite(&org, &ada, "bob@example.com", "member").await;
    let token = app.last_mail_to("bob@example.com").await.token("invitation");
    by_link(&app, &token, &ada).await.refused(409, "already_member");
    let read = app
        .get(&format!("/orgs/{org}/invitations/{id}"))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    assert_eq!(read["state"], "pending");
    by_link(&app, &token, &bob).await.expect(200);
}

#[actix_web::test]
async fn only_invitation_tokens_accept_invitations() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let reset = app.reset_token("ada@example.com").await;
    let fakes = [reset.as_str(), &ada.refresh_token, &ada.access_token, "", "x"];
    for token in fakes {
        by_link(&app, token, &ada).await.refused(410, "link_expired_or_used");
    }
    // An invitation token is not accepted anywhere else.
    let org = app.org(&ada, "Acme").await;
    app.invite(&org, &ada, "bob@example.com", "member").await;
    let token = app.last_mail_to("bob@example.com").await.token("invitation");
    for path in ["/email/confirm", "/email/revert"] {
        app.post(path, &json!({"token": token}))
            .await
            .refused(410, "link_expired_or_used");
    }
    app.post("/auth/verify-email", &json!({"token": token, "password": PASSWORD}))
        .await
        .refused(410, "link_expired_or_used");
    app.post("/auth/refresh", &json!({"refresh_token": token}))
        .await
        .refused(401, "invalid_token");
    app.get("/me").bearer(&token).await.refused(401, "invalid_token");
}

#[actix_web::test]
async fn accepting_an_invitation_approves_a_pending_request() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let body = json!({"name": "Acme", "join_policy": "request"});
    let org = app.org_with(&ada, &body).await["id"].as_str().unwrap().to_owned();
    app.request_to_join(&org, &bob).await;
    let id = app.invite(&org, &ada, "bob@example.com", "member").await;
    by_id(&app, &id, "accept", &bob).await.expect(200);
    let mine = app.get("/join-requests").bearer(&bob.access_token).await.expect(200);
    assert_eq!(mine["data"][0]["state"], "approved");
    assert_ne!(mine["data"][0]["decided_at"], Value::Null);
    assert_eq!(app.notification_counts(&ada, "join_request"), (1, 1));
    assert_eq!(app.notification_counts(&bob, "join_request_decided"), (0, 0));
}

#[actix_web::test]
async fn a_person_who_left_can_be_invited_again_with_another_role() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Admin).await;
    app.delete(&format!("/orgs/{org}/members/{}", bob.id))
        .bearer(&bob.access_token)
        .await
        .expect(204);
    let id = app.invite(&org, &ada, "bob@example.com", "member").await;
    by_id(&app, &id, "accept", &bob).await.expect(200);
    assert_eq!(app.roles(&org, &ada).await[1], ("bob".to_owned(), "member".to_owned()));
}
