//! The limits on e-mails that people cause to be sent to others, and the merging of notices.

use chrono::TimeDelta;
use futures_util::stream::{self, StreamExt as _};
use keyward::app::retention;
use keyward::auth::OrgRole;
use serde_json::json;

use crate::support::{PASSWORD, Person, Reply, TestApp};

async fn invite(app: &TestApp, org: &str, inviter: &Person, email: &str) -> Reply {
    app.post(
        &format!("/orgs/{org}/invitations"),
        &json!({"email": email, "role": "member"}),
    )
    .bearer(&inviter.access_token)
    .await
}

/// Invites this many strangers, four at a time, and returns how many invitations were created.
async fn invite_strangers(app: &TestApp, org: &str, inviter: &Person, count: usize) -> usize {
    let statuses: Vec<u16> = stream::iter(0..count)
        .map(|n| async move {
            let email = format!("{}-{org}-{n}@example.net", inviter.username);
            let reply = invite(app, org, inviter, &email).await;
            if reply.status != 201 {
                reply.refused(429, "rate_limited");
                let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
                assert!((1..=86_400).contains(&wait), "{wait}");
            }
            reply.status
        })
        .buffer_unordered(4)
        .collect()
        .await;
    statuses.iter().filter(|status| **status == 201).count()
}

#[actix_web::test]
async fn a_user_can_invite_fifty_strangers_an_hour() {
    let app = TestApp::start();
    let second = app.another();
    let [ada, bob, eve] = app.people(["ada", "bob", "eve"]).await;
    let org = app.org(&ada, "Win at https://evil.example/now").await;
    app.join(&org, &bob, OrgRole::Admin).await;
    app.join(&org, &eve, OrgRole::Admin).await;
    let other_org = app.org(&ada, "Acme").await;
    let (first, second) = futures_util::future::join(
        invite_strangers(&app, &org, &ada, 75),
        invite_strangers(&second, &other_org, &ada, 75),
    )
    .await;
    assert_eq!(first + second, 50);
    assert_eq!(app.number("SELECT count(*) FROM invitations"), 50);
    assert_eq!(app.number("SELECT count(*) FROM mail_outbox"), 50);
    for mail in &app.mails().await {
        for text in [&mail.subject, &mail.text, &mail.html] {
            assert!(
                !text.contains("evil.example") && !text.contains("https://evil"),
                "{text}"
            );
        }
    }
    // The limit of the organisation holds for all of its members.
    let by_bob = invite_strangers(&app, &org, &bob, 50).await;
    let by_eve = invite_strangers(&app, &org, &eve, 50).await;
    assert_eq!(first + by_bob + by_eve, 100);
    app.advance(TimeDelta::hours(1));
    let token = app.log_in("ada", PASSWORD).await["access_token"].clone();
    app.post(
        &format!("/orgs/{other_org}/invitations"),
        &json!({"email": "later@example.net", "role": "member"}),
    )
    .bearer(token.as_str().unwrap())
    .await
    .expect(201);
    app.advance(TimeDelta::days(1));
    retention::sweep(&app.state).await.unwrap();
    assert_eq!(app.number("SELECT count(*) FROM mail_requests"), 0);
}

#[actix_web::test]
async fn without_rate_limits_every_email_is_sent() {
    let app = TestApp::start_with(&[("KEYWARD_RATE_LIMITS", "off")]);
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Member).await;
    assert_eq!(invite_strangers(&app, &org, &ada, 60).await, 60);
    change_role(&app, &org, &ada, &bob, 8).await;
    assert_eq!(app.mails().await.len(), 68);
    assert_eq!(app.number("SELECT count(*) FROM mail_requests"), 0);
}

/// Changes the role of a member this many times; the last change makes them a member if `times` is even.
async fn change_role(app: &TestApp, org: &str, owner: &Person, member: &Person, times: usize) {
    for n in 0..times {
        let role = if n % 2 == 0 { "admin" } else { "member" };
        app.patch(&format!("/orgs/{org}/members/{}", member.id), &json!({"role": role}))
            .bearer(&owner.access_token)
            .await
            .expect(200);
    }
}

#[actix_web::test]
async fn forty_changes_of_a_role_are_six_emails() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Member).await;
    change_role(&app, &org, &ada, &bob, 40).await;
    assert_eq!(app.mails_to("bob@example.com").await.len(), 5);
    assert_eq!(app.notification_counts(&bob, "member_role_changed").0, 40);
    app.advance(TimeDelta::minutes(61));
    let mails = app.mails_to("bob@example.com").await;
    assert_eq!(mails.len(), 6);
    // The merged e-mail shows the newest role and how many changes came before it.
    let merged = &mails[5].text;
    assert!(
        merged.contains("New role: member") && merged.contains("34 earlier notices"),
        "{merged}"
    );
    assert!(!mails[4].text.contains("earlier notice"), "{}", mails[4].text);
    // An event after that is mailed at once again.
    let token = app.log_in("ada", PASSWORD).await["access_token"].clone();
    let owner = Person {
        access_token: token.as_str().unwrap().to_owned(),
        ..ada
    };
    change_role(&app, &org, &owner, &bob, 1).await;
    assert_eq!(app.mails_to("bob@example.com").await.len(), 7);
}

#[actix_web::test]
async fn thirty_changes_of_address_are_few_emails_to_either_address() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    for _ in 0..30 {
        app.post("/email", &json!({"new_email": "victim@example.net"}))
            .bearer(&ada.access_token)
            .await
            .expect(202);
    }
    assert_eq!(app.mails_to("victim@example.net").await.len(), 5);
    assert_eq!(app.mails_to("ada@example.com").await.len(), 5);
    assert_eq!(app.notification_counts(&ada, "email_change_pending").0, 30);
    app.advance(TimeDelta::minutes(61));
    let last = app.last_mail_to("ada@example.com").await;
    // The link in the merged notice stops the change that is pending.
    app.post("/email/revert", &json!({"token": last.token("revert-email")}))
        .await
        .expect(204);
}

#[actix_web::test]
async fn a_flood_of_other_notices_does_not_delay_one_about_security() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    for n in 0..5 {
        let org = app.org(&ada, &format!("Org {n}")).await;
        app.join(&org, &bob, OrgRole::Member).await;
        change_role(&app, &org, &ada, &bob, 2).await;
        app.delete(&format!("/orgs/{org}/members/{}", bob.id))
            .bearer(&ada.access_token)
            .await
            .expect(204);
        invite(&app, &org, &ada, "bob@example.com").await.expect(201);
    }
    let before = app.mails_to("bob@example.com").await.len();
    let change = json!({"current_password": PASSWORD, "new_password": "walnut-orbit-copper-vessel"});
    app.put("/password", &change)
        .bearer(&bob.access_token)
        .await
        .expect(204);
    let mails = app.mails_to("bob@example.com").await;
    assert_eq!(mails.len(), before + 1);
    assert_eq!(mails[before].subject, "Your password was changed");
}

#[actix_web::test]
async fn a_resend_over_the_limit_keeps_the_mailed_link() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    let invitation = app.invite(&org, &ada, "bob@example.com", "member").await;
    for path in [
        "/email/resend".to_owned(),
        format!("/orgs/{org}/invitations/{invitation}/resend"),
    ] {
        if path == "/email/resend" {
            app.post("/email", &json!({"new_email": "new@example.net"}))
                .bearer(&ada.access_token)
                .await
                .expect(202);
        }
        for _ in 0..8 {
            let reply = app.request("POST", &path).bearer(&ada.access_token).await;
            assert!(reply.status < 300, "{}", reply.text());
        }
    }
    let mails = app.mails_to("new@example.net").await;
    assert_eq!(mails.len(), 5);
    app.post("/email/confirm", &json!({"token": mails[4].token("confirm-email")}))
        .await
        .expect(200);
    let mails = app.mails_to("bob@example.com").await;
    assert_eq!(mails.len(), 5);
    app.post("/invitations/accept", &json!({"token": mails[4].token("invitation")}))
        .bearer(&bob.access_token)
        .await
        .expect(200);
}

/// An instance that takes the address of a client from `X-Forwarded-For`.
fn behind_proxy() -> TestApp {
    TestApp::start_with(&[("KEYWARD_TRUSTED_PROXIES", "127.0.0.1")])
}

async fn forgot(app: &TestApp, email: &str, from: &str) {
    app.post("/password/forgot", &json!({"email": email}))
        .header("x-forwarded-for", from)
        .await
        .expect(202);
}

async fn reset(app: &TestApp, token: &str, password: &str) -> Reply {
    app.post("/password/reset", &json!({"token": token, "new_password": password}))
        .await
}

#[actix_web::test]
async fn one_network_can_ask_for_a_hundred_emails_an_hour_to_any_addresses() {
    let app = behind_proxy();
    app.person("ada").await;
    let ask = |n: usize, from: &str| {
        let (path, body) = match n % 3 {
            0 => ("/password/forgot", json!({"email": format!("forgot{n}@example.net")})),
            1 => (
                "/auth/register/resend",
                json!({"email": format!("resend{n}@example.net")}),
            ),
            // Those over the limits of the address count too, so that the error doesn't reveal these.
            _ => ("/password/forgot", json!({"email": "ada@example.com"})),
        };
        app.post(path, &body).header("x-forwarded-for", from)
    };
    let register = |email: &str, from: &str| {
        app.post("/auth/register", &json!({"email": email, "password": PASSWORD}))
            .header("x-forwarded-for", from)
    };
    register("new@example.net", "2001:db8::a").await.expect(202);
    for n in 0..99 {
        ask(n, &format!("2001:db8::{n:x}")).await.expect(202);
    }
    let counts = |table: &str| app.number(&format!("SELECT count(*) FROM {table}"));
    let before = (counts("mail_outbox"), counts("mail_requests"), counts("registrations"));
    for n in 0..3 {
        let refused = ask(n, "2001:db8::1").await;
        refused.refused(429, "rate_limited");
        assert!(refused.header("retry-after").is_some());
    }
    let late = register("late@example.net", "2001:db8::1").await;
    late.refused(429, "rate_limited");
    assert_eq!(
        (counts("mail_outbox"), counts("mail_requests"), counts("registrations")),
        before
    );
    // Other networks are not concerned, and after an hour this one can ask again.
    for n in 0..3 {
        ask(n, "203.0.113.1").await.expect(202);
    }
    app.advance(TimeDelta::hours(1));
    ask(0, "2001:db8::1").await.expect(202);
}

#[actix_web::test]
async fn a_stranger_cannot_use_up_the_resets_of_an_owner() {
    let app = behind_proxy();
    app.person("ada").await;
    for n in 0..8 {
        // One network: the /64 of an IPv6 address.
        forgot(&app, "ada@example.com", &format!("2001:db8::{n}")).await;
    }
    assert_eq!(app.mails_to("ada@example.com").await.len(), 5);
    forgot(&app, "ada@example.com", "203.0.113.1").await;
    let mails = app.mails_to("ada@example.com").await;
    assert_eq!(mails.len(), 6);
    // Strangers in many networks reach the limit of the address. Every link of the last hour still works then.
    for n in 0..20 {
        forgot(&app, "ada@example.com", &format!("198.51.100.{n}")).await;
    }
    let mails = app.mails_to("ada@example.com").await;
    assert_eq!(mails.len(), 15);
    reset(&app, &mails[0].token("reset-password"), "walnut-orbit-copper-vessel")
        .await
        .expect(204);
    // The reset ends the other links, so it also makes room for new ones.
    reset(&app, &mails[1].token("reset-password"), "marble-comet-ginger-anvil")
        .await
        .refused(410, "link_expired_or_used");
    forgot(&app, "ada@example.com", "203.0.113.2").await;
    let token = app.last_mail_to("ada@example.com").await.token("reset-password");
    reset(&app, &token, "marble-comet-ginger-anvil").await.expect(204);
}

#[actix_web::test]
async fn a_stranger_cannot_use_up_the_emails_to_an_address() {
    let app = behind_proxy();
    let (ada, eve) = (app.person("ada").await, app.person("eve").await);
    for n in 0..20 {
        let org = app.org(&eve, &format!("Org {n}")).await;
        invite(&app, &org, &eve, "new@example.net").await.expect(201);
        app.post("/email", &json!({"new_email": "new@example.net"}))
            .bearer(&eve.access_token)
            .await
            .expect(202);
    }
    assert_eq!(app.mails_to("new@example.net").await.len(), 5);
    let org = app.org(&ada, "Acme").await;
    invite(&app, &org, &ada, "new@example.net").await.expect(201);
    assert!(app.last_mail_to("new@example.net").await.subject.contains("Acme"));
    app.post("/email", &json!({"new_email": "new@example.net"}))
        .bearer(&ada.access_token)
        .await
        .expect(202);
    let token = app.last_mail_to("new@example.net").await.token("confirm-email");
    app.post("/email/confirm", &json!({"token": token})).await.expect(200);
}
