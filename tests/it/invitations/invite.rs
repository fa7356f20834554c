//! Inviting, resending and revoking.

use chrono::TimeDelta;
use keyward::auth::OrgRole;
use serde_json::{Value, json};

use crate::support::TestApp;

#[actix_web::test]
async fn the_response_to_an_invitation_does_not_show_whether_an_account_exists() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    let path = format!("/orgs/{org}/invitations");
    let invite = |email: &str| {
        app.post(&path, &json!({"email": email, "role": "admin"}))
            .bearer(&ada.access_token)
    };
    let known = invite("BOB@Example.com").await;
    let unknown = invite("new@example.com").await;
    assert!(known.header("location").unwrap().contains(&path));
    let names = |reply: &crate::support::Reply| {
        let mut names: Vec<String> = reply.headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    };
    assert_eq!(names(&known), names(&unknown));
    let (known, unknown) = (known.expect(201), unknown.expect(201));
    assert_eq!(known["email"], "bob@example.com");
    assert_eq!(known["role"], "admin");
    assert_eq!(known["state"], "pending");
    assert_eq!(known["org"], json!({"id": org, "name": "Acme", "slug": "acme"}));
    assert_eq!(known["invited_by"]["username"], "ada");
    for member in ["role", "state", "org", "invited_by"] {
        assert_eq!(known[member], unknown[member]);
    }
    assert_eq!(app.notification_counts(&bob, "org_invitation"), (1, 0));
    for email in ["bob@example.com", "new@example.com"] {
        let mail = app.last_mail_to(email).await;
        assert!(mail.subject.contains("Acme"));
        assert!(!mail.token("invitation").is_empty());
    }
    let mine = app.get("/invitations").bearer(&bob.access_token).await.expect(200);
    assert_eq!(mine["data"], json!([known]));
    let theirs = app.get(&path).bearer(&ada.access_token).await.expect(200);
    assert_eq!(theirs["data"].as_array().unwrap().len(), 2);
    let one = app
        .get(&format!("{path}/{}", known["id"].as_str().unwrap()))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    assert_eq!(one, known);
    assert_eq!(
        app.audit_actions(&org),
        ["org.created", "invitation.created", "invitation.created"]
    );
}

#[actix_web::test]
async fn an_address_can_have_one_pending_invitation_and_a_member_none() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Member).await;
    let path = format!("/orgs/{org}/invitations");
    let invite = |email: &str| {
        app.post(&path, &json!({"email": email, "role": "member"}))
            .bearer(&ada.access_token)
    };
    invite("bob@example.com").await.refused(409, "already_member");
    let first = invite("new@example.com").await.expect(201);
    invite("New@EXAMPLE.com").await.refused(409, "already_invited");
    assert_eq!(app.mails_to("new@example.com").await.len(), 1);
    invite("not an address").await.invalid(&[("#/email", "invalid_format")]);
    // An expired invitation does not prevent a new one.
    app.advance(TimeDelta::days(7));
    let token = app.log_in("ada", crate::support::PASSWORD).await["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let again = app
        .post(&path, &json!({"email": "new@example.com", "role": "member"}))
        .bearer(&token)
        .await
        .expect(201);
    assert_ne!(again["id"], first["id"]);
    let states = async |query: &str| -> Vec<Value> {
        let page = app.get(&format!("{path}{query}")).bearer(&token).await.expect(200);
        page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["state"].clone())
            .collect()
    };
    assert_eq!(states("").await, ["pending", "expired"]);
    assert_eq!(states("?state=pending").await, ["pending"]);
    assert_eq!(states("?state=expired").await, ["expired"]);
    assert_eq!(states("?state=revoked").await, Vec::<Value>::new());
}

#[actix_web::test]
async fn concurrent_invitations_of_an_address_create_one() {
    let app = TestApp::start();
    let second = app.another();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Owner).await;
    let path = format!("/orgs/{org}/invitations");
    let body = json!({"email": "new@example.com", "role": "member"});
    let calls = (0..20).map(|n| {
        let (app, person) = if n % 2 == 0 { (&app, &ada) } else { (&second, &bob) };
        app.post(&path, &body).bearer(&person.access_token).send()
    });
    let replies = futures_util::future::join_all(calls).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        reply.refused(409, "already_invited");
    }
    assert_eq!(app.mails_to("new@example.com").await.len(), 1);
}

#[actix_web::test]
async fn a_retried_invitation_is_sent_once() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let org = app.org(&ada, "Acme").await;
    let invite = || {
        app.post(
            &format!("/orgs/{org}/invitations"),
            &json!({"email": "new@example.com", "role": "member"}),
        )
        .bearer(&ada.access_token)
        .header("idempotency-key", "once")
    };
    let first = invite().await.expect(201);
    let again = invite().await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.expect(201), first);
    assert_eq!(app.mails_to("new@example.com").await.len(), 1);
}

#[actix_web::test]
async fn resending_replaces_the_link_and_the_expiry() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    let id = app.invite(&org, &ada, "bob@example.com", "member").await;
    let first = app.last_mail_to("bob@example.com").await.token("invitation");
    let path = format!("/orgs/{org}/invitations/{id}");
    app.advance(TimeDelta::minutes(5));
    let resend = || app.request("POST", &format!("{path}/resend")).bearer(&ada.access_token);
    let before = app.get(&path).bearer(&ada.access_token).await.expect(200);
    let after = resend().await.expect(200);
    assert!(after["expires_at"].as_str() > before["expires_at"].as_str());
    let second = app.last_mail_to("bob@example.com").await.token("invitation");
    assert_ne!(first, second);
    let accept = |token: &str| {
        app.post("/invitations/accept", &json!({"token": token}))
            .bearer(&bob.access_token)
    };
    accept(&first).await.refused(410, "link_expired_or_used");
    accept(&second).await.expect(200);
    resend().await.refused(409, "invalid_state");
    assert_eq!(app.mails_to("bob@example.com").await.len(), 2);
}

#[actix_web::test]
async fn a_revoked_invitation_cannot_be_accepted() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    let id = app.invite(&org, &ada, "bob@example.com", "member").await;
    let token = app.last_mail_to("bob@example.com").await.token("invitation");
    let path = format!("/orgs/{org}/invitations/{id}");
    app.delete(&path).bearer(&ada.access_token).await.expect(204);
    app.delete(&path)
        .bearer(&ada.access_token)
        .await
        .refused(409, "invalid_state");
    assert_eq!(
        app.get(&path).bearer(&ada.access_token).await.expect(200)["state"],
        "revoked"
    );
    assert_eq!(app.notification_counts(&bob, "org_invitation"), (1, 1));
    app.post("/invitations/accept", &json!({"token": token}))
        .bearer(&bob.access_token)
        .await
        .refused(410, "link_expired_or_used");
    for act in ["accept", "decline"] {
        app.request("POST", &format!("/invitations/{id}/{act}"))
            .bearer(&bob.access_token)
            .await
            .refused(409, "invalid_state");
    }
    assert_eq!(app.roles(&org, &ada).await.len(), 1);
}

#[actix_web::test]
async fn an_invitation_ends_when_its_inviter_may_no_longer_invite() {
    let app = TestApp::start();
    let [ada, mut bob, eve] = app.people(["ada", "bob", "eve"]).await;
    let rita = app.admin("rita").await;
    for reason in ["demoted", "removed", "left", "stepped down", "disabled", "deleted"] {
        if reason == "deleted" {
            app.patch(&format!("/admin/users/{}", bob.id), &json!({"disabled": false}))
                .bearer(&rita.access_token)
                .await
                .expect(200);
            bob.access_token = app.log_in("bob", crate::support::PASSWORD).await["access_token"]
                .as_str()
                .unwrap()
                .to_owned();
        }
        let org = app.org(&ada, reason).await;
        let role = if reason == "stepped down" {
            OrgRole::Owner
        } else {
            OrgRole::Admin
        };
        app.join(&org, &bob, role).await;
        let offered = if reason == "stepped down" { "owner" } else { "member" };
        let id = app.invite(&org, &bob, "eve@example.com", offered).await;
        let token = app.last_mail_to("eve@example.com").await.token("invitation");
        let path = format!("/orgs/{org}/members/{}", bob.id);
        match reason {
            "demoted" => drop(
                app.patch(&path, &json!({"role": "member"}))
                    .bearer(&ada.access_token)
                    .await
                    .expect(200),
            ),
            "stepped down" => {
                drop(
                    app.patch(&path, &json!({"role": "admin"}))
                        .bearer(&ada.access_token)
                        .await
                        .expect(200),
                );
            }
            "removed" => drop(app.delete(&path).bearer(&ada.access_token).await.expect(204)),
            "left" => drop(app.delete(&path).bearer(&bob.access_token).await.expect(204)),
            "disabled" => drop(
                app.patch(&format!("/admin/users/{}", bob.id), &json!({"disabled": true}))
                    .bearer(&rita.access_token)
                    .await
                    .expect(200),
            ),
            _ => {
                let id = app.invite(&org, &ada, "other@example.com", "member").await;
                app.delete("/me").bearer(&bob.access_token).await.expect(204);
                // The invitation of another person remains.
                let path = format!("/orgs/{org}/invitations/{id}");
                let other = app.get(&path).bearer(&ada.access_token).await.expect(200);
                assert_eq!(other["state"], "pending");
            }
        }
        app.post("/invitations/accept", &json!({"token": token}))
            .bearer(&eve.access_token)
            .await
            .refused(410, "link_expired_or_used");
        app.request("POST", &format!("/invitations/{id}/accept"))
            .bearer(&eve.access_token)
            .await
            .refused(409, "invalid_state");
        app.get(&format!("/orgs/{org}"))
            .bearer(&eve.access_token)
            .await
            .refused(404, "not_found");
        let path = format!("/orgs/{org}/invitations/{id}");
        assert_eq!(
            app.get(&path).bearer(&ada.access_token).await.expect(200)["state"],
            "revoked",
            "{reason}"
        );
    }
}

#[actix_web::test]
async fn a_person_who_switched_off_invitation_emails_still_sees_the_invitation() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let preferences = json!({"mail": {"org_invitation": false}});
    app.put("/notifications/preferences", &preferences)
        .bearer(&bob.access_token)
        .await
        .expect(200);
    let org = app.org(&ada, "Acme").await;
    let id = app.invite(&org, &ada, "bob@example.com", "member").await;
    assert!(app.mails_to("bob@example.com").await.is_empty());
    assert_eq!(app.notification_counts(&bob, "org_invitation"), (1, 0));
    app.request("POST", &format!("/invitations/{id}/accept"))
        .bearer(&bob.access_token)
        .await
        .expect(200);
}

#[actix_web::test]
async fn invitation_emails_to_one_address_are_limited_without_an_error() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    for n in 0..12 {
        let org = app.org(&ada, &format!("Org {n}")).await;
        app.invite(&org, &ada, "new@example.com", "member").await;
    }
    assert_eq!(app.mails_to("new@example.com").await.len(), 5);
}

#[actix_web::test]
async fn names_are_escaped_in_invitation_emails() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let nickname = json!({"nickname": "<b>{{ 7*7 }}</b> https://evil.example"});
    app.patch("/me", &nickname).bearer(&ada.access_token).await.expect(200);
    let org = app.org(&ada, "Acme <script>").await;
    app.invite(&org, &ada, "new@example.com", "member").await;
    let mail = app.last_mail_to("new@example.com").await;
    assert!(
        !mail.html.contains("<b>") && !mail.html.contains("<script>"),
        "{}",
        mail.html
    );
    assert!(!mail.text.contains("49"));
    assert!(!mail.token("invitation").is_empty());
}
