//! An organisation always has an owner, and one who can act unless an administrator disables them all.

use diesel::connection::SimpleConnection as _;
use futures_util::future::join;
use keyward::auth::OrgRole;
use serde_json::json;

use crate::support::{Call, PASSWORD, Person, TestApp};

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
    assert_eq!(app.audit_actions(&org), ["org.created"]);
    // With a second owner, the first can be demoted and leave.
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
async fn two_owners_cannot_both_stop_being_owners_at_the_same_time() {
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
async fn the_database_refuses_a_commit_that_leaves_no_owner() {
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
    // The trigger of the first runs while neither transaction is committed.
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

/// Pseudo-random numbers from a fixed seed, the same on every run (the generator of Knuth's MMIX).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

#[actix_web::test]
async fn random_concurrent_changes_always_leave_an_owner() {
    let app = TestApp::start_with(&[("KEYWARD_RATE_LIMITS", "off")]);
    let second = app.another();
    let mut people = Vec::new();
    for name in ["ada", "bob", "eve", "kim", "max"] {
        people.push(app.person(name).await);
    }
    let body = json!({"name": "Acme", "join_policy": "request"});
    let org = app.org_with(&people[0], &body).await["id"].as_str().unwrap().to_owned();
    for person in &people[1..] {
        app.join(&org, person, OrgRole::Owner).await;
    }
    let mut dice = Dice(1815);
    for round in 0..25 {
        let calls: Vec<_> = (0..12)
            .map(|n| {
                let app = if n % 2 == 0 { &app } else { &second };
                let (actor, target) = (&people[dice.roll(5)], &people[dice.roll(5)]);
                let member = format!("/orgs/{org}/members/{}", target.id);
                let call = match dice.roll(8) {
                    0 | 1 => app.patch(&member, &json!({"role": "member"})),
                    2 => app.patch(&member, &json!({"role": "admin"})),
                    3 => app.patch(&member, &json!({"role": "owner"})),
                    4 => app.delete(&member),
                    5 => app.post(
                        &format!("/orgs/{org}/transfer"),
                        &json!({"user_id": target.id, "current_password": PASSWORD}),
                    ),
                    6 => app.post(
                        &format!("/orgs/{org}/invitations"),
                        &json!({"email": target.email, "role": "member"}),
                    ),
                    _ => app.request("POST", &format!("/orgs/{org}/join-requests")),
                };
                call.bearer(&actor.access_token).send()
            })
            .collect();
        for reply in futures_util::future::join_all(calls).await {
            assert!(reply.status < 500, "round {round}: {}", reply.text());
        }
        // People who are not members accept their invitations, and admins approve the requests, all at the same time.
        let mut admissions = Vec::new();
        for (n, person) in people.iter().enumerate() {
            let app = if n % 2 == 0 { &app } else { &second };
            let invited = app
                .get("/invitations?state=pending")
                .bearer(&person.access_token)
                .await
                .expect(200);
            for invitation in invited["data"].as_array().unwrap() {
                let path = format!("/invitations/{}/accept", invitation["id"].as_str().unwrap());
                admissions.push(app.request("POST", &path).bearer(&person.access_token).send());
            }
            let waiting = app
                .get(&format!("/orgs/{org}/join-requests?state=pending"))
                .bearer(&person.access_token)
                .await;
            if waiting.status == 200 {
                for request in waiting.json()["data"].as_array().unwrap() {
                    let id = request["id"].as_str().unwrap();
                    let path = format!("/orgs/{org}/join-requests/{id}/approve");
                    admissions.push(app.request("POST", &path).bearer(&person.access_token).send());
                }
            }
        }
        for reply in futures_util::future::join_all(admissions).await {
            assert!(reply.status < 500, "round {round}: {}", reply.text());
        }
        assert_invariants(&app);
    }
    // Enough of the calls succeeded for the run to be a test.
    let mut done = app.audit_actions(&org);
    assert!(done.len() > 40, "{done:?}");
    done.sort();
    done.dedup();
    assert!(done.len() > 6, "{done:?}");
}

/// Every organisation has an owner, no member has a pending invitation or request, and a decided one has neither a valid
/// link nor an unresolved notification.
fn assert_invariants(app: &TestApp) {
    use diesel::prelude::*;
    use diesel::sql_types::BigInt;
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    for wrong in [
        "orgs o WHERE NOT EXISTS (SELECT FROM memberships m WHERE m.org_id = o.id AND m.role = 'owner')",
        "join_requests r JOIN memberships m USING (org_id, user_id) WHERE num_nonnulls(approved_at, rejected_at, withdrawn_at) = 0",
        "invitations i JOIN users u USING (email) JOIN memberships m ON m.org_id = i.org_id AND m.user_id = u.id \
         WHERE num_nonnulls(accepted_at, declined_at, revoked_at) = 0",
        "one_time_tokens t JOIN invitations i ON i.id = t.invitation_id WHERE num_nonnulls(t.used_at, t.invalidated_at) = 0 \
         AND num_nonnulls(accepted_at, declined_at, revoked_at) = 1",
        "notifications n JOIN invitations i ON i.id = n.invitation_id WHERE n.resolved_at IS NULL \
         AND num_nonnulls(accepted_at, declined_at, revoked_at) = 1",
        "notifications n JOIN join_requests r ON r.id = n.join_request_id WHERE n.resolved_at IS NULL \
         AND num_nonnulls(approved_at, rejected_at, withdrawn_at) = 1",
    ] {
        let count: Count = diesel::sql_query(format!("SELECT count(*) AS count FROM {wrong}"))
            .get_result(&mut app.connect())
            .unwrap();
        assert_eq!(count.count, 0, "{wrong}");
    }
}

#[actix_web::test]
async fn deleting_an_account_during_changes_to_its_membership_causes_no_server_error() {
    let app = TestApp::start();
    let second = app.another();
    let ada = app.person("ada").await;
    let org = app.org(&ada, "Acme").await;
    for round in 0..12 {
        let person = app.person(&format!("guest{round}")).await;
        app.join(&org, &person, OrgRole::Admin).await;
        let invitation = app
            .invite(&org, &person, &format!("new{round}@example.com"), "member")
            .await;
        let path = format!("/orgs/{org}/members/{}", person.id);
        let (deleted, changed, removed, resent) = futures_util::future::join4(
            app.delete("/me").bearer(&person.access_token).send(),
            second
                .patch(&path, &json!({"role": "member"}))
                .bearer(&ada.access_token)
                .send(),
            app.delete(&path).bearer(&ada.access_token).send(),
            second
                .request("POST", &format!("/orgs/{org}/invitations/{invitation}/resend"))
                .bearer(&ada.access_token)
                .send(),
        )
        .await;
        assert_eq!(deleted.status, 204, "round {round}: {}", deleted.text());
        for reply in [changed, removed, resent] {
            assert!(reply.status < 500, "round {round}: {}", reply.text());
        }
        assert_eq!(app.roles(&org, &ada).await.len(), 1);
    }
    assert_invariants(&app);
}

fn set_disabled(app: &TestApp, person: &Person, disabled: bool, admin: &Person) -> Call {
    app.patch(&format!("/admin/users/{}", person.id), &json!({"disabled": disabled}))
        .bearer(&admin.access_token)
}

#[actix_web::test]
async fn the_last_owner_who_can_act_cannot_stop_being_one_even_beside_a_disabled_owner() {
    let app = TestApp::start();
    let grace = app.admin("grace").await;
    let [ada, bob, eve] = app.people(["ada", "bob", "eve"]).await;
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Owner).await;
    app.join(&org, &eve, OrgRole::Member).await;
    set_disabled(&app, &bob, true, &grace).await.expect(200);
    let path = format!("/orgs/{org}/members/{}", ada.id);
    for call in [
        app.delete(&path),
        app.patch(&path, &json!({"role": "member"})),
        app.delete("/me"),
    ] {
        call.bearer(&ada.access_token).await.refused(409, "last_owner");
    }
    assert_eq!(app.audit_actions(&org), ["org.created"]);
    assert_eq!(app.roles(&org, &ada).await.len(), 3);
    // The disabled owner can be demoted, a mere member may delete the account, and an enabled owner counts again.
    app.patch(&format!("/orgs/{org}/members/{}", bob.id), &json!({"role": "member"}))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    set_disabled(&app, &bob, false, &grace).await.expect(200);
    app.join_as_owner(&org, &bob, &ada).await;
    app.delete("/me").bearer(&ada.access_token).await.expect(204);
    set_disabled(&app, &bob, true, &grace).await.expect(200);
    app.delete("/me").bearer(&eve.access_token).await.expect(204);
}

#[actix_web::test]
async fn an_organisation_is_not_handed_to_a_disabled_account() {
    let app = TestApp::start();
    let grace = app.admin("grace").await;
    let [ada, bob, eve] = app.people(["ada", "bob", "eve"]).await;
    let body = json!({"name": "Acme", "join_policy": "request"});
    let org = app.org_with(&ada, &body).await["id"].as_str().unwrap().to_owned();
    app.join(&org, &bob, OrgRole::Admin).await;
    let request = app.request_to_join(&org, &eve).await;
    for person in [&bob, &eve] {
        set_disabled(&app, person, true, &grace).await.expect(200);
    }
    let before = app.audit_actions(&org);
    for (method, path, body) in [
        (
            "POST",
            format!("/orgs/{org}/transfer"),
            json!({"user_id": bob.id, "current_password": PASSWORD}),
        ),
        (
            "PATCH",
            format!("/orgs/{org}/members/{}", bob.id),
            json!({"role": "owner"}),
        ),
        (
            "POST",
            format!("/orgs/{org}/join-requests/{request}/approve"),
            json!({"role": "owner"}),
        ),
    ] {
        let call = app.request(method, &path).json(&body).bearer(&ada.access_token);
        call.await.refused(409, "invalid_state");
    }
    assert_eq!(app.audit_actions(&org), before);
    let roles = [("ada", "owner"), ("bob", "admin")].map(|(name, role)| (name.to_owned(), role.to_owned()));
    assert_eq!(app.roles(&org, &ada).await, roles);
}

#[actix_web::test]
async fn an_owner_who_leaves_while_the_other_one_is_disabled_leaves_before_it_or_not_at_all() {
    let app = TestApp::start();
    let second = app.another();
    let grace = app.admin("grace").await;
    let [ada, eve] = app.people(["ada", "eve"]).await;
    for round in 0..9 {
        let bob = app.person(&format!("bob{round}")).await;
        let org = app.org(&ada, &format!("Org {round}")).await;
        app.join(&org, &bob, OrgRole::Owner).await;
        app.join(&org, &eve, OrgRole::Member).await;
        let path = format!("/orgs/{org}/members/{}", ada.id);
        let leave = match round % 3 {
            0 => second.delete(&path),
            1 => second.patch(&path, &json!({"role": "member"})),
            _ => second.post(
                &format!("/orgs/{org}/transfer"),
                &json!({"user_id": bob.id, "current_password": PASSWORD}),
            ),
        };
        let (disabled, left) = join(
            set_disabled(&app, &bob, true, &grace).send(),
            leave.bearer(&ada.access_token).send(),
        )
        .await;
        disabled.expect(200);
        let actions = format!(
            "SELECT count(*) FROM audit_log l, memberships m JOIN users u ON u.id = m.user_id WHERE l.org_id = '{org}' \
             AND l.action <> 'org.created' AND m.org_id = l.org_id AND m.role = 'owner' AND u.id = '{}'",
            bob.id
        );
        match left.status {
            200 | 204 => assert_eq!(app.number(&actions), 1, "{}", left.text()),
            _ => {
                assert_eq!(left.status, 409, "{}", left.text());
                assert_eq!(app.number(&actions), 0);
            }
        }
    }
}
