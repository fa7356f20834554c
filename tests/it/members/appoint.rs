//! A platform administrator names an owner of an organisation whose owners are all disabled.

use chrono::TimeDelta;
use futures_util::future::join;
use keyward::auth::OrgRole;
use keyward::values::ids::{OrgId, UserId};
use serde_json::{Value, json};

use crate::support::{Call, PASSWORD, Person, TestApp};

fn appoint(app: &TestApp, org: &str, new_owner: &Person, admin: &Person) -> Call {
    app.post(&format!("/admin/orgs/{org}/owners"), &json!({"user_id": new_owner.id}))
        .bearer(&admin.access_token)
}

fn set_disabled(app: &TestApp, person: &Person, disabled: bool, admin: &Person) -> Call {
    app.patch(&format!("/admin/users/{}", person.id), &json!({"disabled": disabled}))
        .bearer(&admin.access_token)
}

#[actix_web::test]
async fn an_owner_is_appointed_where_every_owner_is_disabled() {
    let app = TestApp::start();
    let grace = app.admin("grace").await;
    let [ada, bob, eve] = app.people(["ada", "bob", "eve"]).await;
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Member).await;
    app.invite(&org, &ada, &eve.email, "admin").await;
    set_disabled(&app, &ada, true, &grace).await.expect(200);
    // A member is promoted.
    let member = appoint(&app, &org, &bob, &grace).await.expect(200);
    assert_eq!((&member["user_id"], &member["role"]), (&json!(bob.id), &json!("owner")));
    let shown = app
        .get(&format!("/orgs/{org}/members/{}", bob.id))
        .bearer(&bob.access_token);
    assert_eq!(shown.await.expect(200), member);
    assert_eq!(app.notification_counts(&bob, "member_role_changed"), (1, 0));
    assert!(app.last_mail_to(&bob.email).await.text.contains("Acme"));
    // Another person becomes a member; their pending invitation is settled.
    set_disabled(&app, &bob, true, &grace).await.expect(200);
    appoint(&app, &org, &eve, &grace).await.expect(200);
    assert_eq!(app.notification_counts(&eve, "member_role_changed"), (1, 0));
    assert_eq!(app.notification_counts(&eve, "org_invitation"), (1, 1));
    let roles = [("ada", "owner"), ("bob", "owner"), ("eve", "owner")];
    let roles = roles.map(|(name, role)| (name.to_owned(), role.to_owned()));
    assert_eq!(app.roles(&org, &eve).await, roles);
    assert_eq!(
        app.audit_actions(&org),
        [
            "org.created",
            "invitation.created",
            "org.owner_appointed",
            "org.owner_appointed"
        ]
    );
}

#[actix_web::test]
async fn an_appointment_is_refused_while_an_owner_can_act_and_for_a_disabled_account() {
    let app = TestApp::start();
    let grace = app.admin("grace").await;
    let [ada, bob, eve] = app.people(["ada", "bob", "eve"]).await;
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Owner).await;
    set_disabled(&app, &ada, true, &grace).await.expect(200);
    appoint(&app, &org, &eve, &grace).await.refused(409, "invalid_state");
    set_disabled(&app, &bob, true, &grace).await.expect(200);
    appoint(&app, &org, &ada, &grace).await.refused(409, "invalid_state");
    assert_eq!(app.audit_actions(&org), ["org.created"]);
    assert_eq!(app.notification_counts(&eve, "member_role_changed"), (0, 0));
}

#[actix_web::test]
async fn only_an_administrator_with_a_recent_authentication_appoints_an_existing_person_in_an_existing_organisation() {
    let app = TestApp::start();
    let grace = app.admin("grace").await;
    let [ada, eve] = app.people(["ada", "eve"]).await;
    let org = app.org(&ada, "Acme").await;
    set_disabled(&app, &ada, true, &grace).await.expect(200);
    appoint(&app, &org, &eve, &eve).await.refused(403, "forbidden_role");
    let now = app.state.clock.now();
    for unknown in [OrgId::new(now).to_string(), "nonsense".to_owned()] {
        appoint(&app, &unknown, &eve, &grace).await.refused(404, "not_found");
    }
    let path = format!("/admin/orgs/{org}/owners");
    let call = |body: &Value| app.post(&path, body).bearer(&grace.access_token);
    for unknown in [UserId::new(now).to_string(), "nonsense".to_owned()] {
        call(&json!({"user_id": unknown})).await.refused(404, "not_found");
    }
    call(&json!({})).await.invalid(&[("#/user_id", "required")]);
    call(&json!({"user_id": eve.id, "current_password": "wrong"}))
        .await
        .invalid(&[("#/current_password", "incorrect")]);
    app.advance(TimeDelta::minutes(11));
    let refreshed = app.post("/auth/refresh", &json!({"refresh_token": grace.refresh_token}));
    let access_token = refreshed.await.expect(200)["access_token"].as_str().unwrap().to_owned();
    let stale = Person {
        access_token,
        ..grace.clone()
    };
    appoint(&app, &org, &eve, &stale)
        .await
        .refused(401, "reauthentication_required");
    assert_eq!(app.audit_actions(&org), ["org.created"]);
    app.post(&path, &json!({"user_id": eve.id, "current_password": PASSWORD}))
        .bearer(&stale.access_token)
        .await
        .expect(200);
}

#[actix_web::test]
async fn of_two_appointments_at_once_one_succeeds() {
    let app = TestApp::start();
    let second = app.another();
    let grace = app.admin("grace").await;
    let [ada, bob, eve] = app.people(["ada", "bob", "eve"]).await;
    for round in 0..5 {
        let org = app.org(&ada, &format!("Org {round}")).await;
        app.sql(&format!("UPDATE users SET disabled_at = now() WHERE id = '{}'", ada.id));
        let (one, other) = join(
            appoint(&app, &org, &bob, &grace).send(),
            appoint(&second, &org, &eve, &grace).send(),
        )
        .await;
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{} {}", one.text(), other.text());
        app.sql(&format!("UPDATE users SET disabled_at = NULL WHERE id = '{}'", ada.id));
    }
}
