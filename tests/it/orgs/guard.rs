//! The look-up of the membership by an extractor: its place in the order of checks, and before it the replay of a stored
//! response.

use keyward::auth::OrgRole;
use keyward::orgs::OrgPermission;
use serde_json::json;
use uuid::Uuid;

use crate::support::{Call, Person, TestApp};

/// Ways in which the body of a request can be refused.
fn with_bad_bodies(call: impl Fn() -> Call) -> Vec<Call> {
    vec![
        call().body("text/plain", b"x".to_vec()),
        call().body("application/json", vec![b'x'; 70_000]),
        call().body("application/json", b"{".to_vec()),
        call().json(&json!({"unknown": 1})),
    ]
}

fn path(permission: OrgPermission, org: &str, member: &Person) -> String {
    permission
        .route()
        .1
        .replace("{org_id}", org)
        .replace("{user_id}", &member.id.to_string())
        .replace("{own_id}", &member.id.to_string())
        .replace("{invitation_id}", &Uuid::now_v7().to_string())
        .replace("{join_request_id}", &Uuid::now_v7().to_string())
        .replace("{api_key_id}", &Uuid::now_v7().to_string())
}

#[actix_web::test]
async fn a_bad_body_is_reported_only_to_a_member_with_the_permission() {
    let app = TestApp::start();
    let [ada, bob, eve] = app.people(["ada", "bob", "eve"]).await;
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Member).await;
    for permission in OrgPermission::ALL.iter().copied() {
        let path = path(permission, &org, &ada);
        let call = |person: &Person, idempotency_key: Option<&str>| {
            let call = app.request(permission.route().0, &path).bearer(&person.access_token);
            match idempotency_key {
                Some(key) => call.header("idempotency-key", key),
                None => call,
            }
        };
        for idempotency_key in [None, Some("first"), Some("not a valid key")] {
            for call in with_bad_bodies(|| call(&eve, idempotency_key)) {
                call.await.refused(404, "not_found");
            }
            let is_allowed = OrgRole::Member >= permission.min_role();
            // The path is that of another member, so the request is a removal.
            if !is_allowed || permission == OrgPermission::Leave {
                for call in with_bad_bodies(|| call(&bob, idempotency_key)) {
                    call.await.refused(403, "forbidden_role");
                }
            }
        }
    }
    assert_eq!(app.audit_actions(&org), ["org.created"]);
}

#[actix_web::test]
async fn a_malformed_id_is_404_before_the_role_is_checked() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Member).await;
    for permission in OrgPermission::ALL.iter().copied() {
        let (method, template) = permission.route();
        let path = template
            .replace("{org_id}", &org)
            .split('/')
            .map(|part| if part.starts_with('{') { "x" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        if path.contains("/x") {
            app.request(method, &path)
                .bearer(&bob.access_token)
                .await
                .refused(404, "not_found");
        }
    }
}

#[actix_web::test]
async fn a_stored_response_is_replayed_after_the_permission_is_lost() {
    let app = TestApp::start();
    let [ada, bob, eve] = app.people(["ada", "bob", "eve"]).await;
    let body = json!({"name": "Acme", "join_policy": "request"});
    let org = app.org_with(&ada, &body).await["id"].as_str().unwrap().to_owned();
    app.join(&org, &bob, OrgRole::Admin).await;
    let invitation = app.invite(&org, &ada, "new@example.com", "member").await;
    let request = app.request_to_join(&org, &eve).await;
    let invite = json!({"email": "other@example.com", "role": "member"});
    app.advance(chrono::TimeDelta::minutes(5));
    let calls = || {
        let invitations = format!("/orgs/{org}/invitations");
        [
            app.post(&invitations, &invite),
            app.request("POST", &format!("{invitations}/{invitation}/resend")),
            app.request("POST", &format!("/orgs/{org}/join-requests/{request}/approve")),
        ]
        .into_iter()
        .enumerate()
        .map(|(number, call)| {
            call.bearer(&bob.access_token)
                .header("idempotency-key", &format!("key-{number}"))
        })
    };
    let mut first = Vec::new();
    for call in calls() {
        let reply = call.await;
        assert!(reply.status < 300, "{}", reply.text());
        first.push(reply);
    }
    let before = app.audit_actions(&org);
    let member = format!("/orgs/{org}/members/{}", bob.id);
    let demote = app.patch(&member, &json!({"role": "member"}));
    let remove = app.delete(&member);
    for (change, status) in [(demote, 200), (remove, 204)] {
        change.bearer(&ada.access_token).await.expect(status);
        for (call, first) in calls().zip(&first) {
            let again = call.await;
            assert_eq!(again.header("idempotency-replayed"), Some("true"), "{}", again.text());
            assert_eq!((again.status, &again.bytes), (first.status, &first.bytes));
        }
    }
    assert_eq!(app.audit_actions(&org).len(), before.len() + 2);
    // Under another key it is a first request, which the lost membership refuses.
    app.post(&format!("/orgs/{org}/invitations"), &invite)
        .bearer(&bob.access_token)
        .header("idempotency-key", "other")
        .await
        .refused(404, "not_found");
}

#[actix_web::test]
async fn a_first_request_with_an_idempotency_key_is_checked_like_any_other() {
    let app = TestApp::start();
    let [ada, bob, eve] = app.people(["ada", "bob", "eve"]).await;
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Member).await;
    let invite = |person: &Person| {
        app.post(
            &format!("/orgs/{org}/invitations"),
            &json!({"email": "new@example.com", "role": "member"}),
        )
        .bearer(&person.access_token)
        .header("idempotency-key", "key")
        .send()
    };
    invite(&eve).await.refused(404, "not_found");
    invite(&bob).await.refused(403, "forbidden_role");
    // The refusals were not stored.
    app.patch(&format!("/orgs/{org}/members/{}", bob.id), &json!({"role": "admin"}))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    let invited = invite(&bob).await;
    assert_eq!((invited.status, invited.header("idempotency-replayed")), (201, None));
}
