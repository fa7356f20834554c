//! There is always an owner.

use diesel::connection::SimpleConnection as _;
use futures_util::future::join;
use keyward::auth::OrgRole;
use serde_json::json;

use crate::support::{Person, TestApp};

async fn count_owners(app: &TestApp, org: &str, seen_by: &Person) -> usize {
    let roles = app.roles(org, seen_by).await;
    roles.iter().filter(|(_, role)| role == "owner").count()
}

#[actix_web::test]
async fn the_last_owner_cannot_leave_be_removed_or_be_demoted() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Admin).await;
    let path = format!("/orgs/{org}/members/{}", ada.id);
    app.delete(&path)
        .bearer(&ada.access_token)
        .await
        .refused(409, "last_owner");
    for role in ["admin", "member"] {
        app.patch(&path, &json!({"role": role}))
            .bearer(&ada.access_token)
            .await
            .refused(409, "last_owner");
    }
    assert_eq!(count_owners(&app, &org, &ada).await, 1);
    assert_eq!(app.audited(&org), ["org.created"]);
    // Once there is another, each of it works.
    app.join_as_owner(&org, &bob, &ada).await;
    app.patch(&path, &json!({"role": "member"}))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    app.delete(&path).bearer(&ada.access_token).await.expect(204);
}

impl TestApp {
    async fn join_as_owner(&self, org: &str, person: &Person, owner: &Person) {
        self.patch(&format!("/orgs/{org}/members/{}", person.id), &json!({"role": "owner"}))
            .bearer(&owner.access_token)
            .await
            .expect(200);
    }
}

#[actix_web::test]
async fn of_two_owners_who_demote_remove_or_leave_at_once_one_stays() {
    let app = TestApp::start();
    let second = app.another();
    let (ada, bob, eve) = (
        app.person("ada").await,
        app.person("bob").await,
        app.person("eve").await,
    );
    for round in 0..12 {
        let org = app.org(&ada, &format!("Org {round}")).await;
        app.join(&org, &bob, OrgRole::Owner).await;
        app.join(&org, &eve, OrgRole::Member).await;
        let (to_ada, to_bob) = (
            format!("/orgs/{org}/members/{}", ada.id),
            format!("/orgs/{org}/members/{}", bob.id),
        );
        let demotion = json!({"role": "member"});
        let (first, other) = match round % 4 {
            // Each demotes the other.
            0 => {
                let by_ada = app.patch(&to_bob, &demotion).bearer(&ada.access_token);
                let by_bob = second.patch(&to_ada, &demotion).bearer(&bob.access_token);
                join(by_ada.send(), by_bob.send()).await
            }
            // Each removes the other.
            1 => {
                let by_ada = app.delete(&to_bob).bearer(&ada.access_token);
                let by_bob = second.delete(&to_ada).bearer(&bob.access_token);
                join(by_ada.send(), by_bob.send()).await
            }
            // Both leave.
            2 => {
                let by_ada = app.delete(&to_ada).bearer(&ada.access_token);
                let by_bob = second.delete(&to_bob).bearer(&bob.access_token);
                join(by_ada.send(), by_bob.send()).await
            }
            // Each demotes themself.
            _ => {
                let by_ada = app.patch(&to_ada, &demotion).bearer(&ada.access_token);
                let by_bob = second.patch(&to_bob, &demotion).bearer(&bob.access_token);
                join(by_ada.send(), by_bob.send()).await
            }
        };
        let won = [&first, &other].iter().filter(|reply| reply.status < 300).count();
        assert_eq!(won, 1, "round {round}: {} {}", first.text(), other.text());
        let lost = if first.status < 300 { &other } else { &first };
        assert!([403, 404, 409].contains(&lost.status), "{}", lost.text());
        assert_eq!(count_owners(&app, &org, &eve).await, 1, "round {round}");
    }
}

#[actix_web::test]
async fn the_database_itself_refuses_what_would_leave_no_owner() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Owner).await;
    let demote = |person: &Person| {
        format!(
            "BEGIN; UPDATE memberships SET role = 'member' WHERE org_id = '{org}' AND user_id = '{}'",
            person.id
        )
    };
    let (mut first, mut second) = (app.connect(), app.connect());
    first.batch_execute(&demote(&ada)).unwrap();
    second.batch_execute(&demote(&bob)).unwrap();
    // Both are checked while neither is committed.
    first.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").unwrap();
    let waiting = std::thread::spawn(move || second.batch_execute("COMMIT"));
    first.batch_execute("COMMIT").unwrap();
    let refused = waiting.join().unwrap().unwrap_err();
    assert_eq!(
        keyward::error::Error::from(refused).code(),
        keyward::error::Code::LastOwner
    );
    assert_eq!(count_owners(&app, &org, &ada).await, 1);
}
