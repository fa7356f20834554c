//! Concurrent decisions about an invitation.

use futures_util::future::{join, join_all};
use serde_json::json;

use crate::support::TestApp;

#[actix_web::test]
async fn one_of_fifty_concurrent_acceptances_succeeds() {
    let app = TestApp::start();
    let second = app.another();
    let (ada, bob, eve) = (
        app.person("ada").await,
        app.person("bob").await,
        app.person("eve").await,
    );
    for round in 0..4 {
        let org = app.org(&ada, &format!("Org {round}")).await;
        let id = app.invite(&org, &ada, "bob@example.com", "member").await;
        let token = json!({"token": app.last_mail_to("bob@example.com").await.token("invitation")});
        let calls = (0..50).map(|n| {
            let app = if n % 2 == 0 { &app } else { &second };
            match n % 5 {
                0 => app.post("/invitations/accept", &token).bearer(&eve.access_token).send(),
                1 | 2 => app.post("/invitations/accept", &token).bearer(&bob.access_token).send(),
                _ => app
                    .request("POST", &format!("/invitations/{id}/accept"))
                    .bearer(&bob.access_token)
                    .send(),
            }
        });
        let replies = join_all(calls).await;
        let won = replies.iter().filter(|reply| reply.status == 200).count();
        assert_eq!(won, 1, "round {round}");
        for reply in replies.iter().filter(|reply| reply.status != 200) {
            assert!([409, 410].contains(&reply.status), "{}", reply.text());
        }
        assert_eq!(app.roles(&org, &ada).await.len(), 2);
        assert_eq!(
            app.audit_actions(&org),
            ["org.created", "invitation.created", "invitation.accepted"]
        );
    }
}

#[actix_web::test]
async fn either_accepting_or_revoking_succeeds() {
    let app = TestApp::start();
    let second = app.another();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    for round in 0..10 {
        let org = app.org(&ada, &format!("Org {round}")).await;
        let id = app.invite(&org, &ada, "bob@example.com", "member").await;
        let token = app.last_mail_to("bob@example.com").await.token("invitation");
        let accept = if round % 2 == 0 {
            app.request("POST", &format!("/invitations/{id}/accept"))
        } else {
            app.post("/invitations/accept", &json!({"token": token}))
        };
        let revoke = second
            .delete(&format!("/orgs/{org}/invitations/{id}"))
            .bearer(&ada.access_token);
        let (accepted, revoked) = join(accept.bearer(&bob.access_token).send(), revoke.send()).await;
        let read = app
            .get(&format!("/orgs/{org}/invitations/{id}"))
            .bearer(&ada.access_token)
            .await
            .expect(200);
        let members = app.roles(&org, &ada).await.len();
        if accepted.status == 200 {
            revoked.refused(409, "invalid_state");
            assert_eq!((read["state"].as_str(), members), (Some("accepted"), 2));
        } else {
            assert!([409, 410].contains(&accepted.status), "{}", accepted.text());
            assert_eq!(revoked.status, 204, "{}", revoked.text());
            assert_eq!((read["state"].as_str(), members), (Some("revoked"), 1));
        }
    }
}

#[actix_web::test]
async fn accepting_fails_once_the_inviter_is_removed() {
    let app = TestApp::start();
    let second = app.another();
    let (ada, bob, eve) = (
        app.person("ada").await,
        app.person("bob").await,
        app.person("eve").await,
    );
    for round in 0..10 {
        let org = app.org(&ada, &format!("Org {round}")).await;
        app.join(&org, &eve, keyward::auth::OrgRole::Admin).await;
        let id = app.invite(&org, &eve, "bob@example.com", "member").await;
        let accept = app
            .request("POST", &format!("/invitations/{id}/accept"))
            .bearer(&bob.access_token);
        let remove = second
            .delete(&format!("/orgs/{org}/members/{}", eve.id))
            .bearer(&ada.access_token);
        let (accepted, removed) = join(accept.send(), remove.send()).await;
        assert_eq!(removed.status, 204, "{}", removed.text());
        let members = app.roles(&org, &ada).await.len();
        if accepted.status == 200 {
            assert_eq!(members, 2);
        } else {
            accepted.refused(409, "invalid_state");
            assert_eq!(members, 1);
        }
    }
}
