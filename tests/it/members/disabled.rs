//! An owner is disabled while a request relies on that owner.

use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use futures_util::future::join;
use keyward::auth::OrgRole;
use serde_json::json;

use crate::support::{Call, Person, Reply, TestApp, wait_until};

/// Disables an account in a transaction that is committed once `call` waits for it.
async fn during_disable(app: &TestApp, person: &Person, call: Call) -> Reply {
    let mut admin = app.connect();
    let disable = format!("BEGIN; UPDATE users SET disabled_at = now() WHERE id = '{}'", person.id);
    admin.batch_execute(&disable).unwrap();
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let commit = async {
        wait_until(Duration::from_secs(5), async || app.number(waiting) == 1).await;
        admin.batch_execute("COMMIT").unwrap();
    };
    join(call.send(), commit).await.0
}

#[actix_web::test]
async fn the_owner_of_an_account_that_is_deleted_is_not_replaced_by_one_who_is_being_disabled() {
    let app = TestApp::start();
    let [ada, bob, eve] = app.people(["ada", "bob", "eve"]).await;
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Owner).await;
    app.join(&org, &eve, OrgRole::Member).await;
    let delete = app.delete("/me").bearer(&ada.access_token);
    let reply = during_disable(&app, &bob, delete).await;
    reply.refused(409, "last_owner");
    assert_eq!(app.roles(&org, &eve).await.len(), 3);
}

#[actix_web::test]
async fn an_account_that_is_being_disabled_accepts_no_invitation() {
    let app = TestApp::start();
    let [ada, bob] = app.people(["ada", "bob"]).await;
    let org = app.org(&ada, "Acme").await;
    let id = app.invite(&org, &ada, "bob@example.com", "owner").await;
    let token = json!({"token": app.last_mail_to("bob@example.com").await.token("invitation")});
    let accept = app
        .request("POST", &format!("/invitations/{id}/accept"))
        .bearer(&bob.access_token);
    let reply = during_disable(&app, &bob, accept).await;
    assert!([401, 403].contains(&reply.status), "{}", reply.text());
    let by_token = app.post("/invitations/accept", &token).bearer(&bob.access_token).await;
    assert!([401, 403].contains(&by_token.status), "{}", by_token.text());
    assert_eq!(app.roles(&org, &ada).await.len(), 1);
    assert_eq!(app.audit_actions(&org), ["org.created", "invitation.created"]);
    // The inviter remains the owner who can act.
    let leave = app.delete(&format!("/orgs/{org}/members/{}", ada.id));
    leave.bearer(&ada.access_token).await.refused(409, "last_owner");
}

#[actix_web::test]
async fn an_account_is_deleted_or_disabled() {
    let app = TestApp::start();
    let second = app.another();
    let grace = app.admin("grace").await;
    for round in 0..8 {
        let ada = app.person(&format!("ada{round}")).await;
        let disable = app
            .patch(&format!("/admin/users/{}", ada.id), &json!({"disabled": true}))
            .bearer(&grace.access_token);
        let delete = second.delete("/me").bearer(&ada.access_token);
        let (disabled, deleted) = join(disable.send(), delete.send()).await;
        let rows = app.number(&format!("SELECT count(*) FROM users WHERE id = '{}'", ada.id));
        if deleted.status == 204 {
            // The account was deleted first, so there was nothing to disable.
            assert_eq!((rows, disabled.status), (0, 404), "{}", disabled.text());
        } else {
            assert!([401, 403].contains(&deleted.status), "{}", deleted.text());
            assert_eq!((rows, disabled.status), (1, 200));
        }
    }
}
