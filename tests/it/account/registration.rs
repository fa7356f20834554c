//! Registering and verifying.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp};

const OTHER_PASSWORD: &str = "violet-kettle-orbit-saddle";

fn registration(email: &str, password: &str) -> Value {
    json!({"email": email, "password": password})
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
    app.post("/auth/verify-email", &json!({"token": token}))
        .await
        .expect(204);
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
    app.post("/auth/verify-email", &json!({"token": token}))
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
    app.post("/auth/register", &registration("ada@example.com", OTHER_PASSWORD))
        .await
        .expect(202);
    app.post("/auth/register", &registration("ada@example.com", PASSWORD))
        .await
        .expect(202);
    let mails = app.mails_to("ada@example.com").await;
    let [theirs, owners] = [&mails[0], &mails[1]].map(|mail| mail.token("verify-email"));
    app.post("/auth/verify-email", &json!({"token": owners}))
        .await
        .expect(204);
    app.post("/auth/verify-email", &json!({"token": theirs}))
        .await
        .refused(410, "link_expired_or_used");
    app.log_in("ada@example.com", PASSWORD).await;
    let login = json!({"login": "ada@example.com", "password": OTHER_PASSWORD});
    app.post("/auth/login", &login)
        .await
        .refused(401, "invalid_credentials");
}

#[actix_web::test]
async fn a_verification_link_expires_after_a_day() {
    let app = TestApp::start();
    app.post("/auth/register", &registration("ada@example.com", PASSWORD))
        .await
        .expect(202);
    let token = app.last_mail_to("ada@example.com").await.token("verify-email");
    app.advance(TimeDelta::hours(24));
    app.post("/auth/verify-email", &json!({"token": token}))
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
    let known = app
        .post("/auth/register/resend", &json!({"email": "ada@example.com"}))
        .await;
    let unknown = app
        .post("/auth/register/resend", &json!({"email": "bob@example.com"}))
        .await;
    assert_eq!((known.status, &known.bytes), (unknown.status, &unknown.bytes));
    let second = app.last_mail_to("ada@example.com").await.token("verify-email");
    app.post("/auth/verify-email", &json!({"token": first}))
        .await
        .refused(410, "link_expired_or_used");
    app.post("/auth/verify-email", &json!({"token": second}))
        .await
        .expect(204);
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
    app.post("/auth/register", &registration("ada@example.com", PASSWORD))
        .await
        .expect(202);
    let body = json!({"token": app.last_mail_to("ada@example.com").await.token("verify-email")});
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
