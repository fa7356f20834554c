use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use keyward::auth::OrgRole;
use keyward::notifications::{Notice, Subject, notify, resolve};
use keyward::values::ids::{EmailChangeId, InvitationId, JoinRequestId, OrgId, UserId};
use serde_json::{Value, json};

use super::tell;
use crate::support::{Person, TestApp};

async fn list(app: &TestApp, person: &Person, query: &str) -> Value {
    app.get(&format!("/notifications{query}"))
        .bearer(&person.access_token)
        .await
        .expect(200)
}

fn titles(page: &Value) -> Vec<String> {
    let all = page["data"].as_array().unwrap();
    all.iter()
        .map(|one| one["title"].as_str().unwrap().to_owned())
        .collect()
}

async fn notify_about(app: &TestApp, user_id: UserId, notice: Notice, about: Option<Subject>) {
    app.transaction(move |tx| notify(tx, user_id, &notice, about)).await;
}

/// An organisation, and an invitation and a request for it, as they stand in the database.
fn seed_org(app: &TestApp, owner: &Person) -> (OrgId, InvitationId, JoinRequestId) {
    let now = app.state.clock.now();
    let (org, invitation, request) = (OrgId::new(now), InvitationId::new(now), JoinRequestId::new(now));
    let (owner, at) = (owner.id, now.to_rfc3339());
    let sql = format!(
        "INSERT INTO orgs (id, name, slug, join_policy, created_at, updated_at) \
             VALUES ('{org}', 'Acme', 'acme', 'request', '{at}', '{at}'); \
         INSERT INTO memberships (id, org_id, user_id, role, joined_at) \
             VALUES (gen_random_uuid(), '{org}', '{owner}', 'owner', '{at}'); \
         INSERT INTO invitations (id, org_id, email, role, created_at, expires_at) \
             VALUES ('{invitation}', '{org}', 'bob@example.com', 'member', '{at}', '{at}'::timestamptz + interval '7 days'); \
         INSERT INTO join_requests (id, org_id, user_id, created_at) VALUES ('{request}', '{org}', '{owner}', '{at}')"
    );
    app.connect().batch_execute(&sql).unwrap();
    (org, invitation, request)
}

#[actix_web::test]
async fn a_person_sees_their_own_notifications_newest_first_page_by_page() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    for title in ["one", "two", "three"] {
        tell(&app, ada.id, title).await;
        app.advance(TimeDelta::seconds(1));
    }
    tell(&app, bob.id, "for bob").await;
    let first = list(&app, &ada, "?limit=2").await;
    assert_eq!(titles(&first), ["three", "two"]);
    assert_eq!(first["unread_count"], 3);
    let one = &first["data"][0];
    assert_eq!(one["type"], "announcement");
    assert_eq!(one["body"], "About three");
    assert_eq!(
        one["data"],
        json!({"title": "three", "body": "About three", "org_id": null})
    );
    assert_eq!((&one["actions"], &one["state"]), (&json!([]), &json!("unread")));
    assert_eq!(one["resolved_at"], Value::Null);
    // Somebody is told something between two pages: nothing is shown twice, nothing left out.
    tell(&app, ada.id, "four").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = list(&app, &ada, &format!("?limit=2&cursor={cursor}")).await;
    assert_eq!(titles(&second), ["one"]);
    assert_eq!(second["next_cursor"], Value::Null);
    // A cursor is good for its own list only.
    for (person, query) in [(&bob, ""), (&ada, "&state=unread"), (&ada, "&type=announcement")] {
        app.get(&format!("/notifications?limit=2&cursor={cursor}{query}"))
            .bearer(&person.access_token)
            .await
            .refused(400, "invalid_cursor");
    }
}

#[actix_web::test]
async fn notifications_are_filtered_by_state_and_type() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    tell(&app, ada.id, "one").await;
    app.advance(TimeDelta::seconds(1));
    notify_about(&app, ada.id, Notice::PasswordChanged {}, None).await;
    let all = list(&app, &ada, "").await;
    let id = all["data"][1]["id"].as_str().unwrap();
    app.patch(&format!("/notifications/{id}"), &json!({"state": "read"}))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    assert_eq!(titles(&list(&app, &ada, "?state=read").await), ["one"]);
    let unread = list(&app, &ada, "?state=unread").await;
    assert_eq!(titles(&unread), ["Your password was changed"]);
    assert_eq!(unread["unread_count"], 1);
    assert_eq!(
        titles(&list(&app, &ada, "?type=announcement&state=unread").await),
        [""; 0]
    );
    assert_eq!(titles(&list(&app, &ada, "?type=announcement").await), ["one"]);
    let wrong = app
        .get("/notifications?type=x&state=y&limit=0&z=1")
        .bearer(&ada.access_token)
        .await;
    wrong.invalid(&[
        ("type", "not_allowed"),
        ("state", "not_allowed"),
        ("limit", "out_of_range"),
        ("z", "unknown_field"),
    ]);
}

#[actix_web::test]
async fn the_text_is_in_the_language_of_the_profile_and_what_people_typed_stays_as_it_is() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let hostile = "{{ 7*7 }} <script>alert(1)</script> =cmd|' /C calc'!A0 ${7*7}";
    let notice = Notice::MemberRemoved {
        org_id: OrgId::new(app.state.clock.now()),
        org_name: hostile.to_owned(),
    };
    notify_about(&app, ada.id, notice, None).await;
    let one = list(&app, &ada, "").await["data"][0].clone();
    assert_eq!(one["title"], format!("You are no longer a member of {hostile}"));
    assert_eq!(one["data"]["org_name"], hostile);
    app.patch("/me", &json!({"locale": "zh-CN"}))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    let one = list(&app, &ada, "").await["data"][0].clone();
    assert_eq!(one["title"], format!("您已不再是{hostile}的成员"));
}

#[actix_web::test]
async fn what_can_be_decided_says_how_until_it_is_decided_or_expires() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let (org_id, invitation_id, request_id) = seed_org(&app, &ada);
    let invited = Notice::OrgInvitation {
        org_id,
        org_name: "Acme".to_owned(),
        role: OrgRole::Member,
        invited_by: Some("ada".to_owned()),
    };
    let asked = Notice::JoinRequest {
        org_id,
        org_name: "Acme".to_owned(),
        person: "carol".to_owned(),
        message: None,
    };
    notify_about(&app, bob.id, invited, Some(Subject::Invitation(invitation_id))).await;
    notify_about(&app, ada.id, asked.clone(), Some(Subject::JoinRequest(request_id))).await;
    notify_about(&app, bob.id, asked, Some(Subject::JoinRequest(request_id))).await;
    let one = list(&app, &bob, "?type=org_invitation").await["data"][0].clone();
    assert_eq!(
        one["actions"],
        json!([
            {"name": "accept", "method": "POST", "path": format!("/invitations/{invitation_id}/accept")},
            {"name": "decline", "method": "POST", "path": format!("/invitations/{invitation_id}/decline")},
        ])
    );
    assert_eq!(one["body"], "ada invites you to join \"Acme\" as member.");
    assert_eq!(one["data"]["invitation_id"], invitation_id.to_string());
    let one = list(&app, &ada, "?type=join_request").await["data"][0].clone();
    let path = format!("/orgs/{org_id}/join-requests/{request_id}");
    assert_eq!(
        one["actions"],
        json!([
            {"name": "approve", "method": "POST", "path": format!("{path}/approve")},
            {"name": "reject", "method": "POST", "path": format!("{path}/reject")},
        ])
    );
    // Decided by one, it is resolved for all.
    app.transaction(move |tx| resolve(tx, Subject::JoinRequest(request_id)))
        .await;
    for person in [&ada, &bob] {
        let one = list(&app, person, "?type=join_request").await["data"][0].clone();
        assert_eq!(one["actions"], json!([]));
        assert!(one["resolved_at"].is_string());
    }
    // What expires undecided is resolved by that.
    app.advance(TimeDelta::days(7));
    let fresh = app.log_in("bob", crate::support::PASSWORD).await;
    let page = app
        .get("/notifications?type=org_invitation")
        .bearer(fresh["access_token"].as_str().unwrap())
        .await
        .expect(200);
    assert_eq!(page["data"][0]["actions"], json!([]));
    assert!(page["data"][0]["resolved_at"].is_string());
}

#[actix_web::test]
async fn a_pending_change_of_address_can_be_resent_and_cancelled_from_the_centre() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let now = app.state.clock.now();
    let (id, user, at) = (EmailChangeId::new(now), ada.id, now.to_rfc3339());
    app.connect()
        .batch_execute(&format!(
            "INSERT INTO email_changes (id, user_id, old_email, new_email, requested_at, expires_at) VALUES \
             ('{id}', '{user}', 'ada@example.com', 'new@example.com', '{at}', '{at}'::timestamptz + interval '1 day')"
        ))
        .unwrap();
    let notice = Notice::EmailChangePending {
        new_email: "new@example.com".to_owned(),
        expires_at: now,
    };
    notify_about(&app, ada.id, notice, Some(Subject::EmailChange(id))).await;
    let one = list(&app, &ada, "").await["data"][0].clone();
    assert_eq!(
        one["actions"],
        json!([
            {"name": "resend", "method": "POST", "path": "/email/resend"},
            {"name": "cancel", "method": "DELETE", "path": "/email/pending"},
        ])
    );
    assert!(one["data"]["expires_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(one["data"]["expires_at"].as_str().unwrap().len(), 24, "milliseconds");
}

#[actix_web::test]
async fn a_notification_is_marked_read_and_unread_with_its_entity_tag() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    tell(&app, ada.id, "one").await;
    let id = list(&app, &ada, "").await["data"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/notifications/{id}");
    let mark = |body: Value| app.patch(&path, &body).bearer(&ada.access_token);
    let reply = mark(json!({})).await;
    let unread = reply.header("etag").unwrap().to_owned();
    assert_eq!(reply.expect(200)["state"], "unread");
    let reply = mark(json!({"state": "read"})).header("if-match", &unread).await;
    assert_ne!(reply.header("etag"), Some(unread.as_str()));
    assert_eq!(reply.expect(200)["state"], "read");
    assert_eq!(list(&app, &ada, "").await["unread_count"], 0);
    let me = app.get("/me").bearer(&ada.access_token).await.expect(200);
    assert_eq!(me["unread_notifications"], 0);
    mark(json!({"state": "unread"}))
        .header("if-match", &unread)
        .await
        .refused(412, "precondition_failed");
    assert_eq!(list(&app, &ada, "").await["unread_count"], 0);
    mark(json!({"state": "unread"})).await.expect(200);
    assert_eq!(list(&app, &ada, "").await["unread_count"], 1);
    mark(json!({"state": "gone", "title": "x"}))
        .await
        .invalid(&[("#/state", "not_allowed"), ("#/title", "unknown_field")]);
}

#[actix_web::test]
async fn all_are_marked_read_at_once_and_one_is_deleted() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    for title in ["one", "two"] {
        tell(&app, ada.id, title).await;
        app.advance(TimeDelta::seconds(1));
    }
    tell(&app, bob.id, "for bob").await;
    app.request("POST", "/notifications/read-all")
        .bearer(&ada.access_token)
        .await
        .expect(204);
    let page = list(&app, &ada, "").await;
    assert_eq!(page["unread_count"], 0);
    assert_eq!(list(&app, &bob, "").await["unread_count"], 1);
    let path = format!("/notifications/{}", page["data"][0]["id"].as_str().unwrap());
    app.delete(&path).bearer(&ada.access_token).await.expect(204);
    app.delete(&path)
        .bearer(&ada.access_token)
        .await
        .refused(404, "not_found");
    assert_eq!(titles(&list(&app, &ada, "").await), ["one"]);
}

#[actix_web::test]
async fn a_foreign_notification_is_not_there() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    tell(&app, ada.id, "one").await;
    let id = list(&app, &ada, "").await["data"][0]["id"].as_str().unwrap().to_owned();
    let random = keyward::values::ids::NotificationId::new(app.state.clock.now()).to_string();
    for method in ["PATCH", "DELETE"] {
        let ask = |id: &str| {
            app.request(method, &format!("/notifications/{id}"))
                .json(&json!({"state": 1, "x": 2}))
                .bearer(&bob.access_token)
        };
        let foreign = ask(&id).await;
        foreign.refused(404, "not_found");
        assert_eq!(foreign.without_request_id(), ask(&random).await.without_request_id());
        assert_eq!(foreign.without_request_id(), ask("nonsense").await.without_request_id());
    }
    assert_eq!(list(&app, &ada, "").await["data"][0]["state"], "unread");
}

#[actix_web::test]
async fn nobody_sees_notifications_without_a_credential() {
    let app = TestApp::start();
    for (method, path) in [
        ("GET", "/notifications"),
        ("GET", "/notifications/stream"),
        ("GET", "/notifications/preferences"),
        ("PUT", "/notifications/preferences"),
        ("POST", "/notifications/read-all"),
        ("GET", "/me/activity"),
    ] {
        app.request(method, path).await.refused(401, "authentication_required");
    }
}
