//! Registering and verifying.

use chrono::TimeDelta;
use keyward::account::{NewUser, create_user, hash_registration_password};
use keyward::app::retention;
use keyward::auth::{Password, PlatformRole};
use keyward::users::Username;
use keyward::values::EmailAddress;
use serde_json::{Value, json};

use crate::support::{Call, PASSWORD, TestApp};

const OTHER_PASSWORD: &str = "violet-kettle-orbit-saddle";

const NEW_PASSWORD: &str = "marble-tunnel-fiddle-sponge";
/// The pause after which another verification mail may be sent to an address.
const MAIL_PAUSE: TimeDelta = TimeDelta::minutes(5);

fn registration(email: &str, password: &str) -> Value {
    json!({"email": email, "password": password})
}

async fn register(app: &TestApp, email: &str, password: &str) {
    app.post("/auth/register", &registration(email, password))
        .await
        .expect(202);
}

async fn resend(app: &TestApp, email: &str) {
    app.post("/auth/register/resend", &json!({"email": email}))
        .await
        .expect(202);
}

/// The token of the newest link.
async fn link_to(app: &TestApp, email: &str) -> String {
    app.last_mail_to(email).await.token("verify-email")
}

fn verify(app: &TestApp, token: &str, password: &str) -> Call {
    app.post("/auth/verify-email", &json!({"token": token, "password": password}))
}

fn verify_with_new(app: &TestApp, token: &str, password: &str) -> Call {
    app.post("/auth/verify-email", &json!({"token": token, "new_password": password}))
}

fn log_in(app: &TestApp, login: &str, password: &str) -> Call {
    app.post("/auth/login", &json!({"login": login, "password": password}))
}

/// Creates an unverified account as `keyward user create` does.
async fn create_admin(app: &TestApp, username: &str, email: &str) {
    let password = Password::try_from(PASSWORD.to_owned()).ok().unwrap();
    let new = NewUser {
        email: EmailAddress::try_from(email.to_owned()).unwrap(),
        username: Username::try_from(username.to_owned()).unwrap(),
        role: PlatformRole::Admin,
        verified: false,
        password_hash: hash_registration_password(&app.state, email, password).await.unwrap(),
    };
    let secret = app.state.secret.clone();
    app.transaction(move |tx| create_user(tx, &secret, &new)).await;
}

async fn role_of(app: &TestApp, login: &str, password: &str) -> Value {
    let tokens = app.log_in(login, password).await;
    let me = app.get("/me").bearer(tokens["access_token"].as_str().unwrap());
    me.await.expect(200)["role"].clone()
}

#[actix_web::test]
async fn a_registration_becomes_an_account_through_its_link() {
    let app = TestApp::start();
    let body = json!({"email": "Ada@Example.com", "password": PASSWORD, "nickname": "Ada", "locale": "en"});
    assert_eq!(
        app.post("/auth/register", &body).await.expect(202),
        json!({"status": "accepted"})
    );
    let login = json!({"login": "ada@example.com", "password": PASSWORD});
    app.post("/auth/login", &login).await.refused(403, "email_unverified");
    let token = app.last_mail_to("ada@example.com").await.token("verify-email");
    verify(&app, &token, PASSWORD).await.expect(204);
    let tokens = app.post("/auth/login", &login).await.expect(200);
    assert_eq!(tokens["profile_complete"], false);
    let me = app
        .get("/me")
        .bearer(tokens["access_token"].as_str().unwrap())
        .await
        .expect(200);
    assert_eq!(me["email"], "ada@example.com");
    assert_eq!(me["nickname"], "Ada");
    assert_eq!(me["email_verified"], true);
    verify(&app, &token, PASSWORD)
        .await
        .refused(410, "link_expired_or_used");
}

#[actix_web::test]
async fn registering_a_taken_address_gets_the_same_response_and_its_owner_a_mail() {
    let app = TestApp::start();
    app.person("ada").await;
    let free = app
        .post("/auth/register", &registration("bob@example.com", PASSWORD))
        .await;
    let taken = app
        .post("/auth/register", &registration("ada@example.com", OTHER_PASSWORD))
        .await;
    assert_eq!((free.status, &free.bytes), (taken.status, &taken.bytes));
    assert!(app.last_mail_to("ada@example.com").await.link().is_none());
    app.log_in("ada", PASSWORD).await;
    // A login with the password of the registration gets the same response as for a free address.
    for email in ["ada@example.com", "bob@example.com"] {
        let password = if email == "ada@example.com" {
            OTHER_PASSWORD
        } else {
            PASSWORD
        };
        let login = json!({"login": email, "password": password});
        app.post("/auth/login", &login).await.refused(403, "email_unverified");
    }
}

#[actix_web::test]
async fn registering_the_address_of_another_person_gives_no_access() {
    let app = TestApp::start();
    register(&app, "ada@example.com", OTHER_PASSWORD).await;
    app.advance(MAIL_PAUSE);
    register(&app, "ada@example.com", PASSWORD).await;
    let mails = app.mails_to("ada@example.com").await;
    let [theirs, owners] = [&mails[0], &mails[1]].map(|mail| mail.token("verify-email"));
    // The owner opens the link of the other person and enters their own password: nothing happens.
    verify(&app, &theirs, PASSWORD)
        .await
        .invalid(&[("#/password", "incorrect")]);
    for password in [PASSWORD, OTHER_PASSWORD] {
        log_in(&app, "ada@example.com", password)
            .await
            .refused(403, "email_unverified");
    }
    verify(&app, &owners, PASSWORD).await.expect(204);
    verify(&app, &theirs, OTHER_PASSWORD)
        .await
        .refused(410, "link_expired_or_used");
    app.log_in("ada@example.com", PASSWORD).await;
    log_in(&app, "ada@example.com", OTHER_PASSWORD)
        .await
        .refused(401, "invalid_credentials");
}

#[actix_web::test]
async fn the_reader_of_the_link_of_another_person_can_choose_a_new_password() {
    let app = TestApp::start();
    register(&app, "ada@example.com", OTHER_PASSWORD).await;
    let theirs = link_to(&app, "ada@example.com").await;
    verify_with_new(&app, &theirs, NEW_PASSWORD).await.expect(204);
    app.log_in("ada@example.com", NEW_PASSWORD).await;
    log_in(&app, "ada@example.com", OTHER_PASSWORD)
        .await
        .refused(401, "invalid_credentials");
    verify_with_new(&app, &theirs, OTHER_PASSWORD)
        .await
        .refused(410, "link_expired_or_used");
    app.log_in("ada@example.com", NEW_PASSWORD).await;
}

#[actix_web::test]
async fn a_link_that_another_person_requested_does_not_replace_that_of_the_owner() {
    let app = TestApp::start();
    register(&app, "ada@example.com", PASSWORD).await;
    let owners = link_to(&app, "ada@example.com").await;
    app.advance(MAIL_PAUSE);
    register(&app, "ada@example.com", OTHER_PASSWORD).await;
    app.advance(MAIL_PAUSE);
    resend(&app, "ada@example.com").await;
    let theirs = link_to(&app, "ada@example.com").await;
    verify(&app, &theirs, PASSWORD)
        .await
        .invalid(&[("#/password", "incorrect")]);
    verify(&app, &owners, OTHER_PASSWORD)
        .await
        .invalid(&[("#/password", "incorrect")]);
    verify(&app, &owners, PASSWORD).await.expect(204);
    app.log_in("ada@example.com", PASSWORD).await;
}

#[actix_web::test]
async fn filling_the_limit_of_mails_does_not_keep_the_owner_out() {
    let app = TestApp::start();
    for _ in 0..20 {
        register(&app, "ada@example.com", OTHER_PASSWORD).await;
        app.advance(MAIL_PAUSE);
    }
    register(&app, "ada@example.com", PASSWORD).await;
    resend(&app, "ada@example.com").await;
    let mails = app.mails_to("ada@example.com").await;
    assert_eq!(mails.len(), 10);
    log_in(&app, "ada@example.com", PASSWORD)
        .await
        .refused(403, "email_unverified");
    // The last of them works until another one may be sent.
    let theirs = mails.last().unwrap().token("verify-email");
    verify(&app, &theirs, PASSWORD)
        .await
        .invalid(&[("#/password", "incorrect")]);
    verify_with_new(&app, &theirs, PASSWORD).await.expect(204);
    app.log_in("ada@example.com", PASSWORD).await;
}

#[actix_web::test]
async fn one_verification_mail_is_sent_in_five_minutes_and_ten_in_a_day() {
    let app = TestApp::start();
    let second = app.another();
    let body = registration("ada@example.com", PASSWORD);
    let calls = (0..10).map(|n| {
        if n % 2 == 0 { &app } else { &second }
            .post("/auth/register", &body)
            .send()
    });
    for reply in futures_util::future::join_all(calls).await {
        reply.expect(202);
    }
    assert_eq!(app.mails_to("ada@example.com").await.len(), 1);
    app.advance(MAIL_PAUSE - TimeDelta::seconds(5));
    resend(&app, "ada@example.com").await;
    assert_eq!(app.mails_to("ada@example.com").await.len(), 1);
    for _ in 0..12 {
        app.advance(MAIL_PAUSE);
        resend(&app, "ada@example.com").await;
    }
    assert_eq!(app.mails_to("ada@example.com").await.len(), 10);
    app.advance(TimeDelta::hours(24) - TimeDelta::minutes(60));
    resend(&app, "ada@example.com").await;
    let mails = app.mails_to("ada@example.com").await;
    assert_eq!(mails.len(), 11);
    verify(&app, &mails[10].token("verify-email"), PASSWORD)
        .await
        .expect(204);
    let unlimited = TestApp::start_with(&[("KEYWARD_RATE_LIMITS", "off")]);
    for _ in 0..12 {
        register(&unlimited, "ada@example.com", PASSWORD).await;
    }
    assert_eq!(unlimited.mails_to("ada@example.com").await.len(), 12);
}

#[actix_web::test]
async fn a_resent_link_works_for_a_day_from_when_it_was_mailed() {
    let app = TestApp::start();
    register(&app, "ada@example.com", PASSWORD).await;
    app.advance(TimeDelta::hours(23));
    resend(&app, "ada@example.com").await;
    let token = link_to(&app, "ada@example.com").await;
    app.advance(TimeDelta::hours(23));
    retention::sweep(&app.state).await.unwrap();
    log_in(&app, "ada@example.com", PASSWORD)
        .await
        .refused(403, "email_unverified");
    verify(&app, &token, PASSWORD).await.expect(204);
    app.log_in("ada@example.com", PASSWORD).await;
}

#[actix_web::test]
async fn the_link_of_an_operator_keeps_the_role_of_the_account() {
    let app = TestApp::start();
    create_admin(&app, "ada", "ada@example.com").await;
    let operators = link_to(&app, "ada@example.com").await;
    app.advance(MAIL_PAUSE);
    register(&app, "ada@example.com", OTHER_PASSWORD).await;
    app.advance(MAIL_PAUSE);
    // The registration of the operator has precedence over newer ones.
    resend(&app, "ada@example.com").await;
    let resent = link_to(&app, "ada@example.com").await;
    verify(&app, &operators, PASSWORD)
        .await
        .refused(410, "link_expired_or_used");
    verify(&app, &resent, OTHER_PASSWORD)
        .await
        .invalid(&[("#/password", "incorrect")]);
    verify(&app, &resent, PASSWORD).await.expect(204);
    assert_eq!(role_of(&app, "ada", PASSWORD).await, "admin");
}

#[actix_web::test]
async fn another_link_than_that_of_the_operator_makes_a_plain_user() {
    let app = TestApp::start();
    create_admin(&app, "ada", "ada@example.com").await;
    let operators = link_to(&app, "ada@example.com").await;
    app.advance(MAIL_PAUSE);
    register(&app, "ada@example.com", OTHER_PASSWORD).await;
    let theirs = link_to(&app, "ada@example.com").await;
    verify(&app, &theirs, OTHER_PASSWORD).await.expect(204);
    assert_eq!(role_of(&app, "ada@example.com", OTHER_PASSWORD).await, "user");
    verify(&app, &operators, PASSWORD)
        .await
        .refused(410, "link_expired_or_used");
    log_in(&app, "ada", PASSWORD).await.refused(401, "invalid_credentials");
    let changes = app.number("SELECT count(*) FROM audit_log WHERE action = 'user.role_changed'");
    assert_eq!(changes, 1);
    // A reset is mailed for anyone, too.
    create_admin(&app, "bob", "bob@example.com").await;
    let reset = app.reset_token("bob@example.com").await;
    let body = json!({"token": reset, "new_password": NEW_PASSWORD});
    app.post("/password/reset", &body).await.expect(204);
    assert_eq!(role_of(&app, "bob", NEW_PASSWORD).await, "user");
}

#[actix_web::test]
async fn a_registration_does_not_keep_an_operator_from_creating_the_account() {
    let app = TestApp::start();
    register(&app, "ada@example.com", OTHER_PASSWORD).await;
    create_admin(&app, "ada", "ada@example.com").await;
    let mails = app.mails_to("ada@example.com").await;
    verify(&app, &mails[1].token("verify-email"), PASSWORD)
        .await
        .expect(204);
    assert_eq!(role_of(&app, "ada", PASSWORD).await, "admin");
    verify(&app, &mails[0].token("verify-email"), OTHER_PASSWORD)
        .await
        .refused(410, "link_expired_or_used");
}

#[actix_web::test]
async fn verifying_needs_the_password_of_the_registration_or_a_new_one() {
    let app = TestApp::start();
    register(&app, "ada@example.com", PASSWORD).await;
    let token = link_to(&app, "ada@example.com").await;
    let invalid: [(Value, &[(&str, &str)]); 5] = [
        (json!({"token": token}), &[("#/password", "required")]),
        (json!({"token": token, "password": null}), &[("#/password", "required")]),
        (json!({}), &[("#/token", "required"), ("#/password", "required")]),
        (
            json!({"token": token, "password": PASSWORD, "new_password": NEW_PASSWORD}),
            &[("#/new_password", "not_allowed")],
        ),
        (
            json!({"token": token, "new_password": "short"}),
            &[("#/new_password", "too_short"), ("#/new_password", "too_weak")],
        ),
    ];
    for (body, errors) in invalid {
        app.post("/auth/verify-email", &body).await.invalid(errors);
    }
    verify_with_new(&app, &token, "ada@example.com")
        .await
        .invalid(&[("#/new_password", "contains_user_info")]);
    // The link is judged before the new password.
    verify_with_new(&app, "unknown", "short")
        .await
        .refused(410, "link_expired_or_used");
    log_in(&app, "ada@example.com", PASSWORD)
        .await
        .refused(403, "email_unverified");
    assert_eq!(
        app.number("SELECT count(*) FROM users WHERE email_verified_at IS NOT NULL"),
        0
    );
    verify(&app, &token, PASSWORD).await.expect(204);
}

#[actix_web::test]
async fn a_weak_new_password_is_reported_with_the_other_fields_if_the_link_works() {
    let app = TestApp::start();
    register(&app, "ada@example.com", PASSWORD).await;
    let mut body = json!({"token": link_to(&app, "ada@example.com").await, "new_password": "passwordpassword", "x": 1});
    let verify = |body: &Value| app.post("/auth/verify-email", body);
    verify(&body)
        .await
        .invalid(&[("#/new_password", "too_weak"), ("#/x", "unknown_field")]);
    body["token"] = json!("unknown");
    verify(&body).await.invalid(&[("#/x", "unknown_field")]);
    body.as_object_mut().unwrap().remove("x");
    verify(&body).await.refused(410, "link_expired_or_used");
}

#[actix_web::test]
async fn guesses_of_the_password_of_a_registration_are_throttled() {
    let app = TestApp::start();
    let second = app.another();
    register(&app, "ada@example.com", PASSWORD).await;
    let token = link_to(&app, "ada@example.com").await;
    let calls = (0..30).map(|n| verify(if n % 2 == 0 { &app } else { &second }, &token, OTHER_PASSWORD).send());
    let replies = futures_util::future::join_all(calls).await;
    let count = |status| replies.iter().filter(|reply| reply.status == status).count();
    assert_eq!((count(422), count(429)), (10, 20));
    verify(&app, &token, PASSWORD).await.refused(429, "rate_limited");
    // They count as failed logins, and a new password is not a guess.
    log_in(&app, "ada@example.com", PASSWORD)
        .await
        .refused(429, "rate_limited");
    verify_with_new(&app, &token, NEW_PASSWORD).await.expect(204);
    app.log_in("ada@example.com", NEW_PASSWORD).await;
}

#[actix_web::test]
async fn a_login_with_the_password_of_any_registration_says_that_it_is_unverified() {
    let app = TestApp::start();
    app.person("ada").await;
    for email in ["ada@example.com", "bob@example.com"] {
        for password in [OTHER_PASSWORD, NEW_PASSWORD] {
            register(&app, email, password).await;
        }
        // It counts in no throttle, and clears none.
        for _ in 0..12 {
            for password in [OTHER_PASSWORD, NEW_PASSWORD] {
                log_in(&app, email, password).await.refused(403, "email_unverified");
            }
        }
        for n in 0..10 {
            let login = log_in(&app, email, &format!("wrong {n}")).await;
            login.refused(401, "invalid_credentials");
            if n < 9 {
                log_in(&app, email, NEW_PASSWORD).await.refused(403, "email_unverified");
            }
        }
        log_in(&app, email, NEW_PASSWORD).await.refused(429, "rate_limited");
    }
}

#[actix_web::test]
async fn a_username_never_gets_the_answer_that_an_address_is_unverified() {
    let app = TestApp::start();
    app.person("ada").await;
    create_admin(&app, "bob", "bob@example.com").await;
    register(&app, "ada@example.com", OTHER_PASSWORD).await;
    log_in(&app, "ada", OTHER_PASSWORD)
        .await
        .refused(401, "invalid_credentials");
    log_in(&app, "bob", PASSWORD).await.refused(401, "invalid_credentials");
    log_in(&app, "bob@example.com", PASSWORD)
        .await
        .refused(403, "email_unverified");
}

#[actix_web::test]
async fn registering_a_throttled_address_does_not_lift_its_throttle() {
    let app = TestApp::start();
    app.person("ada").await;
    for email in ["ada@example.com", "bob@example.com"] {
        for _ in 0..10 {
            log_in(&app, email, "wrong").await.refused(401, "invalid_credentials");
        }
        register(&app, email, OTHER_PASSWORD).await;
        log_in(&app, email, OTHER_PASSWORD).await.refused(429, "rate_limited");
    }
}

#[actix_web::test]
async fn a_verification_link_expires_after_a_day() {
    let app = TestApp::start();
    app.post("/auth/register", &registration("ada@example.com", PASSWORD))
        .await
        .expect(202);
    let token = app.last_mail_to("ada@example.com").await.token("verify-email");
    app.advance(TimeDelta::hours(24));
    verify(&app, &token, PASSWORD)
        .await
        .refused(410, "link_expired_or_used");
    let login = json!({"login": "ada@example.com", "password": PASSWORD});
    app.post("/auth/login", &login)
        .await
        .refused(401, "invalid_credentials");
}

#[actix_web::test]
async fn a_resent_link_invalidates_the_previous_one() {
    let app = TestApp::start();
    app.post("/auth/register", &registration("ada@example.com", PASSWORD))
        .await
        .expect(202);
    let first = app.last_mail_to("ada@example.com").await.token("verify-email");
    app.advance(MAIL_PAUSE);
    let known = app
        .post("/auth/register/resend", &json!({"email": "ada@example.com"}))
        .await;
    let unknown = app
        .post("/auth/register/resend", &json!({"email": "bob@example.com"}))
        .await;
    assert_eq!((known.status, &known.bytes), (unknown.status, &unknown.bytes));
    let second = app.last_mail_to("ada@example.com").await.token("verify-email");
    verify(&app, &first, PASSWORD)
        .await
        .refused(410, "link_expired_or_used");
    verify(&app, &second, PASSWORD).await.expect(204);
    assert!(app.mails_to("bob@example.com").await.is_empty());
}

#[actix_web::test]
async fn all_validation_errors_are_reported_at_once() {
    let app = TestApp::start();
    let body = json!({"email": "ada", "nickname": "a\u{202e}b", "locale": "xx", "role": "admin"});
    let reply = app.post("/auth/register", &body).await;
    reply.invalid(&[
        ("#/email", "invalid_format"),
        ("#/password", "required"),
        ("#/nickname", "invalid_format"),
        ("#/locale", "not_allowed"),
        ("#/role", "unknown_field"),
    ]);
    let body = registration("ada@example.com", "short");
    app.post("/auth/register", &body)
        .await
        .invalid(&[("#/password", "too_short"), ("#/password", "too_weak")]);
    // The policy is judged together with the other fields.
    let body = json!({"email": "ada@example.com", "password": "passwordpassword", "nickname": "a\u{202e}b"});
    app.post("/auth/register", &body)
        .await
        .invalid(&[("#/password", "too_weak"), ("#/nickname", "invalid_format")]);
    let body = registration("ada@example.com", "ada@example.com");
    app.post("/auth/register", &body)
        .await
        .invalid(&[("#/password", "contains_user_info")]);
    assert!(app.mails().await.is_empty());
}

#[actix_web::test]
async fn of_fifty_parallel_uses_of_a_verification_link_one_succeeds() {
    let app = TestApp::start();
    let second = app.another();
    for (email, field) in [("ada@example.com", "password"), ("bob@example.com", "new_password")] {
        register(&app, email, PASSWORD).await;
        let body = json!({"token": link_to(&app, email).await, field: PASSWORD});
        let calls = (0..50).map(|n| {
            if n % 2 == 0 { &app } else { &second }
                .post("/auth/verify-email", &body)
                .send()
        });
        let mut statuses: Vec<u16> = futures_util::future::join_all(calls)
            .await
            .iter()
            .map(|reply| reply.status)
            .collect();
        statuses.sort_unstable();
        assert_eq!(statuses[0], 204);
        assert!(statuses[1..].iter().all(|status| *status == 410), "{statuses:?}");
    }
}

#[actix_web::test]
async fn of_parallel_uses_of_the_links_of_an_address_one_succeeds() {
    let app = TestApp::start();
    let mut passwords = Vec::new();
    for n in 0..8 {
        passwords.push(format!("{PASSWORD}-{n}"));
        register(&app, "ada@example.com", &passwords[n]).await;
        app.advance(MAIL_PAUSE);
    }
    let mails = app.mails_to("ada@example.com").await;
    let tokens: Vec<String> = mails.iter().map(|mail| mail.token("verify-email")).collect();
    let calls = tokens
        .iter()
        .zip(&passwords)
        .map(|(token, password)| verify(&app, token, password).send());
    let replies = futures_util::future::join_all(calls).await;
    let winner = replies.iter().position(|reply| reply.status == 204).unwrap();
    assert_eq!(replies.iter().filter(|reply| reply.status == 410).count(), 7);
    app.log_in("ada@example.com", &passwords[winner]).await;
}

#[actix_web::test]
async fn closed_registration_is_not_found() {
    let app = TestApp::start_with(&[("KEYWARD_REGISTRATION", "closed")]);
    app.post("/auth/register", &registration("ada@example.com", PASSWORD))
        .await
        .refused(404, "not_found");
    app.post("/auth/register/resend", &json!({"email": "ada@example.com"}))
        .await
        .refused(404, "not_found");
}
