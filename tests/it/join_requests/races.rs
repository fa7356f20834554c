//! Concurrent decisions about a request to join.

use futures_util::future::{join, join_all};
use serde_json::json;

use crate::support::{Person, TestApp};

async fn open_org(app: &TestApp, owner: &Person, name: &str) -> String {
    let body = json!({"name": name, "join_policy": "request"});
    app.org_with(owner, &body).await["id"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn either_approving_or_withdrawing_succeeds() {
    let app = TestApp::start();
    let second = app.another();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    for round in 0..10 {
        let org = open_org(&app, &ada, &format!("Org {round}")).await;
        let id = app.request_to_join(&org, &bob).await;
        let path = format!("/orgs/{org}/join-requests/{id}");
        let approve = app
            .request("POST", &format!("{path}/approve"))
            .bearer(&ada.access_token);
        let withdraw = second.delete(&path).bearer(&bob.access_token);
        let (approved, withdrawn) = join(approve.send(), withdraw.send()).await;
        let state = app.get(&path).bearer(&bob.access_token).await.expect(200)["state"].clone();
        let members = app.roles(&org, &ada).await.len();
        if approved.status == 200 {
            withdrawn.refused(409, "invalid_state");
            assert_eq!((state.as_str(), members), (Some("approved"), 2));
        } else {
            approved.refused(409, "invalid_state");
            assert_eq!(withdrawn.status, 204);
            assert_eq!((state.as_str(), members), (Some("withdrawn"), 1));
        }
    }
}

#[actix_web::test]
async fn one_of_fifty_concurrent_decisions_succeeds() {
    let app = TestApp::start();
    let second = app.another();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    for round in 0..4 {
        let org = open_org(&app, &ada, &format!("Org {round}")).await;
        let id = app.request_to_join(&org, &bob).await;
        let path = format!("/orgs/{org}/join-requests/{id}");
        let calls = (0..50).map(|n| {
            let app = if n % 2 == 0 { &app } else { &second };
            let act = if n % 3 == 0 { "reject" } else { "approve" };
            app.request("POST", &format!("{path}/{act}"))
                .bearer(&ada.access_token)
                .send()
        });
        let replies = join_all(calls).await;
        assert_eq!(
            replies.iter().filter(|reply| reply.status == 200).count(),
            1,
            "round {round}"
        );
        for reply in replies.iter().filter(|reply| reply.status != 200) {
            reply.refused(409, "invalid_state");
        }
        assert_eq!(app.audit_actions(&org).len(), 3);
    }
    assert_eq!(app.notification_counts(&bob, "join_request_decided"), (4, 0));
}

#[actix_web::test]
async fn a_concurrent_approval_and_acceptance_make_one_membership() {
    let app = TestApp::start();
    let second = app.another();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    for round in 0..10 {
        let org = open_org(&app, &ada, &format!("Org {round}")).await;
        let id = app.request_to_join(&org, &bob).await;
        let invitation = app.invite(&org, &ada, "bob@example.com", "member").await;
        let approve = app
            .request("POST", &format!("/orgs/{org}/join-requests/{id}/approve"))
            .bearer(&ada.access_token);
        let accept = second
            .request("POST", &format!("/invitations/{invitation}/accept"))
            .bearer(&bob.access_token);
        let (approved, accepted) = join(approve.send(), accept.send()).await;
        let won = [&approved, &accepted]
            .iter()
            .filter(|reply| reply.status == 200)
            .count();
        assert_eq!(won, 1, "{} {}", approved.text(), accepted.text());
        assert_eq!(app.roles(&org, &ada).await.len(), 2);
        let requests = app
            .get("/join-requests?state=pending")
            .bearer(&bob.access_token)
            .await
            .expect(200);
        let invitations = app
            .get("/invitations?state=pending")
            .bearer(&bob.access_token)
            .await
            .expect(200);
        assert_eq!((&requests["data"], &invitations["data"]), (&json!([]), &json!([])));
    }
}
