//! Persons without a username and a nickname: others see no name, and never the e-mail address.

use keyward::auth::OrgRole;
use serde_json::{Value, json};

use crate::support::TestApp;

#[actix_web::test]
async fn the_address_of_a_nameless_person_is_shown_to_nobody_else() {
    let app = TestApp::start();
    let (ada, bob, rita) = (
        app.person("ada").await,
        app.person("bob").await,
        app.admin("rita").await,
    );
    app.sql("UPDATE users SET username = NULL, nickname = NULL WHERE username = 'bob'");
    let org = app
        .org_with(&ada, &json!({"name": "Acme", "join_policy": "request"}))
        .await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let request = app.request_to_join(&org, &bob).await;
    app.post(
        &format!("/orgs/{org}/join-requests/{request}/approve"),
        &json!({"role": "member"}),
    )
    .bearer(&ada.access_token)
    .await
    .expect(200);
    let member = format!("/orgs/{org}/members/{}", bob.id);
    app.patch(&member, &json!({"role": "admin"}))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    // Bob acts: he revokes a key of ada and invites a person. Then ada removes him.
    let key = app.key(&ada, json!({"org_id": org})).await;
    app.delete(&format!("/orgs/{org}/api-keys/{}", key.body["id"].as_str().unwrap()))
        .bearer(&bob.access_token)
        .await
        .expect(204);
    app.invite(&org, &bob, "carol@example.com", "member").await;
    app.key(&bob, json!({"org_id": org})).await;
    let mut seen: Vec<String> = Vec::new();
    for path in ["audit-log", "members", "api-keys", "invitations", "join-requests"] {
        let reply = app.get(&format!("/orgs/{org}/{path}")).bearer(&ada.access_token).await;
        seen.push(reply.expect(200).to_string());
    }
    app.delete(&member).bearer(&ada.access_token).await.expect(204);
    app.post(&format!("/admin/users/{}/revoke-sessions", bob.id), &json!({}))
        .bearer(&rita.access_token)
        .await
        .expect(204);
    for path in ["/notifications", "/me/activity", "/orgs"] {
        seen.push(app.get(path).bearer(&ada.access_token).await.expect(200).to_string());
    }
    let audit_log = app
        .get(&format!("/orgs/{org}/audit-log?limit=100"))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    seen.push(audit_log.to_string());
    for mail in app.mails().await.iter().filter(|mail| mail.to != bob.email) {
        seen.extend([mail.subject.clone(), mail.text.clone(), mail.html.clone()]);
    }
    for text in &seen {
        assert!(!text.contains(&bob.email), "{text}");
    }
    let is_bobs = |record: &&Value| record["actor"]["id"] == bob.id.to_string();
    let mut records = audit_log["data"].as_array().unwrap().iter().filter(is_bobs);
    assert!(records.all(|record| record["actor"]["name"].is_null()));
    let mails = app.mails_to(&ada.email).await;
    assert!(mails.iter().any(|mail| mail.subject == "A person asks to join Acme"));
    let revoked = mails
        .iter()
        .find(|mail| mail.subject == "An API key was revoked")
        .unwrap();
    assert!(
        revoked.text.contains("ask an administrator of the organisation"),
        "{}",
        revoked.text
    );
}

#[actix_web::test]
async fn a_person_without_a_username_acts_under_the_nickname() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    app.sql("UPDATE users SET username = NULL, nickname = 'Bobby' WHERE username = 'bob'");
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Admin).await;
    app.invite(&org, &bob, "carol@example.com", "member").await;
    let log = app
        .get(&format!("/orgs/{org}/audit-log"))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    assert_eq!(log["data"][0]["actor"]["name"], "Bobby");
}
