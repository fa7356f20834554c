use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use keyward::auth::OrgRole;
use keyward::notifications::{Event, PasswordChangeMethod, Subject, notify_in_app, resolve};
use keyward::values::ids::{EmailChangeId, InvitationId, JoinRequestId, OneTimeTokenId, OrgId, UserId};
use serde_json::{Value, json};

use super::announce;
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

async fn notify(app: &TestApp, user_id: UserId, event: Event) {
    app.transaction(move |tx| notify_in_app(tx, user_id, &event)).await;
}

/// Inserts an organisation with an invitation and a join request.
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
async fn the_list_has_the_callers_notifications_newest_first_in_pages() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    for title in ["one", "two", "three"] {
        announce(&app, ada.id, title).await;
        app.advance(TimeDelta::seconds(1));
    }
    announce(&app, bob.id, "for bob").await;
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
    // A notification that arrives between two pages neither repeats nor hides another one.
    announce(&app, ada.id, "four").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = list(&app, &ada, &format!("?limit=2&cursor={cursor}")).await;
    assert_eq!(titles(&second), ["one"]);
    assert_eq!(second["next_cursor"], Value::Null);
    // A cursor belongs to one list.
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
    announce(&app, ada.id, "one").await;
    app.advance(TimeDelta::seconds(1));
    let method = PasswordChangeMethod::CurrentPassword;
    notify(&app, ada.id, Event::PasswordChanged { method }).await;
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
async fn the_text_is_in_the_language_of_the_profile_and_typed_text_is_unchanged() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let hostile = "{{ 7*7 }} <script>alert(1)</script> =cmd|' /C calc'!A0 ${7*7}";
    let event = Event::MemberRemoved {
        org_id: OrgId::new(app.state.clock.now()),
        org_name: hostile.to_owned(),
    };
    notify(&app, ada.id, event).await;
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
async fn a_notification_carries_actions_until_the_decision_is_made_or_expires() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let (org_id, invitation_id, request_id) = seed_org(&app, &ada);
    let invitation = Event::OrgInvitation {
        org_id,
        org_name: "Acme".to_owned(),
        role: OrgRole::Member,
        invited_by: Some("ada".to_owned()),
        invitation_id,
        token_id: OneTimeTokenId::new(app.state.clock.now()),
    };
    let join_request = Event::JoinRequest {
        org_id,
        org_name: "Acme".to_owned(),
        person: Some("carol".to_owned()),
        message: None,
        join_request_id: request_id,
    };
    notify(&app, bob.id, invitation).await;
    notify(&app, ada.id, join_request.clone()).await;
    notify(&app, bob.id, join_request).await;
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
    // The decision resolves the notification of every recipient.
    app.transaction(move |tx| resolve(tx, Subject::JoinRequest(request_id)))
        .await;
    for person in [&ada, &bob] {
        let one = list(&app, person, "?type=join_request").await["data"][0].clone();
        assert_eq!(one["actions"], json!([]));
        assert!(one["resolved_at"].is_string());
    }
    // Expiry resolves a notification, too.
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
async fn a_pending_change_of_address_carries_actions_to_resend_and_cancel_it() {
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
    let event = Event::EmailChangePending {
        new_email: "new@example.com".to_owned(),
        expires_at: now,
        email_change_id: id,
        token_id: OneTimeTokenId::new(now),
    };
    notify(&app, ada.id, event).await;
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
    announce(&app, ada.id, "one").await;
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
async fn all_notifications_can_be_marked_read_and_one_deleted() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    for title in ["one", "two"] {
        announce(&app, ada.id, title).await;
        app.advance(TimeDelta::seconds(1));
    }
    announce(&app, bob.id, "for bob").await;
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
async fn the_notification_of_another_user_is_not_found() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    announce(&app, ada.id, "one").await;
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
async fn every_route_needs_a_credential() {
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
