//! Changing the e-mail address.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Person, TestApp};

async fn request(app: &TestApp, person: &Person, new_email: &str) -> Value {
    app.post("/email", &json!({"new_email": new_email}))
        .bearer(&person.access_token)
        .await
        .expect(202)
}

#[actix_web::test]
async fn the_old_address_remains_the_login_until_the_new_one_is_confirmed() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let status = request(&app, &ada, "Ada@New.example").await;
    assert_eq!(status["email"], "ada@example.com");
    assert_eq!(status["pending"]["new_email"], "ada@new.example");
    let me = app.get("/me").bearer(&ada.access_token).await.expect(200);
    assert_eq!(
        (&me["pending_email"], &me["unread_notifications"]),
        (&json!("ada@new.example"), &json!(1))
    );
    app.log_in("ada@example.com", PASSWORD).await;
    let token = app.last_mail_to("ada@new.example").await.token("confirm-email");
    app.last_mail_to("ada@example.com").await.token("revert-email");
    let confirmed = app.post("/email/confirm", &json!({"token": token})).await.expect(200);
    assert_eq!(confirmed, json!({"email": "ada@new.example"}));
    app.post("/email/confirm", &json!({"token": token}))
        .await
        .refused(410, "link_expired_or_used");
    app.log_in("ada@new.example", PASSWORD).await;
    let login = json!({"login": "ada@example.com", "password": PASSWORD});
    app.post("/auth/login", &login)
        .await
        .refused(401, "invalid_credentials");
    let status = app.get("/email").bearer(&ada.access_token).await.expect(200);
    assert_eq!(
        status,
        json!({"email": "ada@new.example", "verified": true, "pending": null})
    );
}

#[actix_web::test]
async fn a_change_needs_a_recent_authentication() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    app.advance(TimeDelta::seconds(605));
    let tokens = app
        .post("/auth/refresh", &json!({"refresh_token": ada.refresh_token}))
        .await
        .expect(200);
    let access = tokens["access_token"].as_str().unwrap();
    let call = |body: Value| app.post("/email", &body).bearer(access).send();
    let reply = call(json!({"new_email": "ada@new.example"})).await;
    reply.refused(401, "reauthentication_required");
    assert!(
        reply
            .header("www-authenticate")
            .unwrap()
            .contains("error=\"insufficient_user_authentication\"")
    );
    assert!(reply.header("www-authenticate").unwrap().contains("max_age=600"));
    let body = json!({"new_email": "ada@new.example", "current_password": "wrong"});
    call(body).await.invalid(&[("#/current_password", "incorrect")]);
    let body = json!({"new_email": "ada@new.example", "confirm_email": "b@new.example"});
    call(body).await.invalid(&[("#/confirm_email", "mismatch")]);
    assert!(app.mails().await.is_empty());
    let body = json!({"new_email": "ada@new.example", "current_password": PASSWORD});
    call(body).await.expect(202);
}

#[actix_web::test]
async fn requesting_a_taken_address_gets_the_same_response_and_its_owner_a_mail() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    app.person("bob").await;
    let status = request(&app, &ada, "bob@example.com").await;
    assert_eq!(status["pending"]["new_email"], "bob@example.com");
    assert!(app.last_mail_to("bob@example.com").await.link().is_none());
    app.log_in("bob@example.com", PASSWORD).await;
    let same = app
        .post("/email", &json!({"new_email": "ADA@example.com"}))
        .bearer(&ada.access_token)
        .await;
    same.invalid(&[("#/new_email", "same_as_current")]);
}

#[actix_web::test]
async fn a_new_request_replaces_the_pending_one() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    request(&app, &ada, "one@new.example").await;
    request(&app, &ada, "two@new.example").await;
    let [one, two] = ["one@new.example", "two@new.example"];
    let one = app.last_mail_to(one).await.token("confirm-email");
    let two = app.last_mail_to(two).await.token("confirm-email");
    app.post("/email/confirm", &json!({"token": one}))
        .await
        .refused(410, "link_expired_or_used");
    app.post("/email/confirm", &json!({"token": two})).await.expect(200);
}

#[actix_web::test]
async fn resend_and_cancel_need_a_pending_change() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let resend = || app.request("POST", "/email/resend").bearer(&ada.access_token).send();
    let cancel = || app.delete("/email/pending").bearer(&ada.access_token).send();
    resend().await.refused(409, "invalid_state");
    cancel().await.refused(404, "not_found");
    request(&app, &ada, "ada@new.example").await;
    let first = app.last_mail_to("ada@new.example").await.token("confirm-email");
    resend().await.expect(202);
    let second = app.last_mail_to("ada@new.example").await.token("confirm-email");
    app.post("/email/confirm", &json!({"token": first}))
        .await
        .refused(410, "link_expired_or_used");
    cancel().await.expect(204);
    app.post("/email/confirm", &json!({"token": second}))
        .await
        .refused(410, "link_expired_or_used");
    let status = app.get("/email").bearer(&ada.access_token).await.expect(200);
    assert_eq!(status["pending"], Value::Null);
    request(&app, &ada, "ada@new.example").await;
    app.advance(TimeDelta::hours(24));
    let body = json!({"login": "ada", "password": PASSWORD});
    let access = app.post("/auth/login", &body).await.expect(200)["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    app.request("POST", "/email/resend")
        .bearer(&access)
        .await
        .refused(409, "invalid_state");
}

#[actix_web::test]
async fn of_two_users_who_confirm_the_same_address_one_gets_it() {
    let app = TestApp::start();
    let second = app.another();
    let people = [app.person("ada").await, app.person("bob").await];
    for person in &people {
        request(&app, person, "shared@new.example").await;
    }
    let tokens: Vec<String> = app
        .mails_to("shared@new.example")
        .await
        .iter()
        .map(|mail| mail.token("confirm-email"))
        .collect();
    let calls = (0..50).map(|n| {
        let app = if n % 4 < 2 { &app } else { &second };
        app.post("/email/confirm", &json!({"token": tokens[n % 2]})).send()
    });
    let replies = futures_util::future::join_all(calls).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    assert!(replies.iter().all(|reply| reply.status == 200 || reply.status == 410));
}

#[actix_web::test]
async fn the_link_to_the_old_address_stops_a_pending_change() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    request(&app, &ada, "ada@new.example").await;
    let confirm = app.last_mail_to("ada@new.example").await.token("confirm-email");
    let revert = app.last_mail_to("ada@example.com").await.token("revert-email");
    app.post("/email/revert", &json!({"token": revert})).await.expect(204);
    app.post("/email/confirm", &json!({"token": confirm}))
        .await
        .refused(410, "link_expired_or_used");
    app.post("/email/revert", &json!({"token": revert}))
        .await
        .refused(410, "link_expired_or_used");
    app.get("/me").bearer(&ada.access_token).await.expect(200);
}

#[actix_web::test]
async fn of_fifty_parallel_uses_of_a_revert_link_one_succeeds() {
    let app = TestApp::start();
    let second = app.another();
    let ada = app.person("ada").await;
    request(&app, &ada, "thief@new.example").await;
    let confirm = app.last_mail_to("thief@new.example").await.token("confirm-email");
    app.post("/email/confirm", &json!({"token": confirm})).await.expect(200);
    let body = json!({"token": app.last_mail_to("ada@example.com").await.token("revert-email")});
    let calls = (0..50).map(|n| {
        if n % 2 == 0 { &app } else { &second }
            .post("/email/revert", &body)
            .send()
    });
    let replies = futures_util::future::join_all(calls).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 204).count(), 1);
    assert!(replies.iter().all(|reply| reply.status == 204 || reply.status == 410));
}

#[actix_web::test]
async fn reverting_a_confirmed_change_locks_the_attacker_out() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let body = json!({"name": "owner", "scopes": ["me:read"], "current_password": PASSWORD});
    let owners_key = app.post("/api-keys", &body).bearer(&ada.access_token).await.expect(201);
    let owners_key = owners_key["secret"].as_str().unwrap().to_owned();
    app.advance(TimeDelta::seconds(1));
    request(&app, &ada, "thief@new.example").await;
    let revert = app.last_mail_to("ada@example.com").await.token("revert-email");
    let confirm = app.last_mail_to("thief@new.example").await.token("confirm-email");
    app.post("/email/confirm", &json!({"token": confirm})).await.expect(200);
    let key = |name: &'static str| {
        let body = json!({"name": name, "scopes": ["me:read"], "current_password": PASSWORD});
        app.post("/api-keys", &body).bearer(&ada.access_token).send()
    };
    let thiefs_key = key("thief").await.expect(201)["secret"].as_str().unwrap().to_owned();
    // The attacker also changes the password. Until the revert window ends, no account can take the old address.
    let body = json!({"current_password": PASSWORD, "new_password": "violet-kettle-orbit-saddle"});
    app.put("/password", &body).bearer(&ada.access_token).await.expect(204);
    let before = app.mails_to("ada@example.com").await.len();
    app.register("ada@example.com").await;
    let mails = app.mails_to("ada@example.com").await;
    assert_eq!((mails.len(), mails.last().unwrap().link()), (before + 1, None));
    app.advance(TimeDelta::days(6));
    app.get("/me").bearer(&thiefs_key).await.expect(200);
    app.get("/me").bearer(&owners_key).await.expect(200);
    app.post("/email/revert", &json!({"token": revert})).await.expect(204);
    app.get("/me").bearer(&thiefs_key).await.refused(401, "invalid_token");
    app.get("/me").bearer(&owners_key).await.expect(200);
    app.post("/auth/refresh", &json!({"refresh_token": ada.refresh_token}))
        .await
        .refused(401, "invalid_token");
    for password in [PASSWORD, "violet-kettle-orbit-saddle"] {
        let login = json!({"login": "ada@example.com", "password": password});
        app.post("/auth/login", &login)
            .await
            .refused(401, "invalid_credentials");
    }
    let reset = app.reset_token("ada@example.com").await;
    let body = json!({"token": reset, "new_password": "marble-tunnel-fiddle-sponge"});
    app.post("/password/reset", &body).await.expect(204);
    app.log_in("ada@example.com", "marble-tunnel-fiddle-sponge").await;
}

#[actix_web::test]
async fn the_revert_link_of_an_earlier_change_undoes_the_later_one_too() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    request(&app, &ada, "one@new.example").await;
    let to_first = app.last_mail_to("ada@example.com").await.token("revert-email");
    let confirm = app.last_mail_to("one@new.example").await.token("confirm-email");
    app.post("/email/confirm", &json!({"token": confirm})).await.expect(200);
    request(&app, &ada, "two@new.example").await;
    let to_second = app.last_mail_to("one@new.example").await.token("revert-email");
    let confirm = app.last_mail_to("two@new.example").await.token("confirm-email");
    app.post("/email/confirm", &json!({"token": confirm})).await.expect(200);
    app.post("/email/revert", &json!({"token": to_first})).await.expect(204);
    app.post("/email/revert", &json!({"token": to_second}))
        .await
        .refused(410, "link_expired_or_used");
    app.post("/password/forgot", &json!({"email": "ada@example.com"}))
        .await
        .expect(202);
    app.last_mail_to("ada@example.com").await.token("reset-password");
}

#[actix_web::test]
async fn a_change_cannot_be_reverted_after_seven_days() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    request(&app, &ada, "ada@new.example").await;
    let first = app.last_mail_to("ada@example.com").await.token("revert-email");
    let confirm = app.last_mail_to("ada@new.example").await.token("confirm-email");
    app.post("/email/confirm", &json!({"token": confirm})).await.expect(200);
    let second = app.last_mail_to("ada@example.com").await.token("revert-email");
    app.advance(TimeDelta::days(7));
    for token in [first, second] {
        app.post("/email/revert", &json!({"token": token}))
            .await
            .refused(410, "link_expired_or_used");
    }
    app.log_in("ada@new.example", PASSWORD).await;
}

#[actix_web::test]
async fn reverting_a_change_disables_the_keys_that_were_rotated_enabled_or_widened_since_the_request() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let network = json!(["127.0.0.0/8"]);
    let settings = json!({"scopes": ["me:read"], "allowed_ips": network, "expires_in_days": 2});
    let create = async || app.key(&ada, settings.clone()).await;
    let (rotated, enabled, scoped, opened, revived) = (
        create().await,
        create().await,
        create().await,
        create().await,
        app.key(&ada, json!({"expires_in_days": 1})).await,
    );
    let (untouched, narrowed, extended) = (create().await, create().await, create().await);
    let patch = |path: String, body: serde_json::Value, access: &str| app.patch(&path, &body).bearer(access).send();
    patch(enabled.path(), json!({"enabled": false}), &ada.access_token)
        .await
        .expect(200);
    app.advance(TimeDelta::hours(25));
    let tokens = app.log_in("ada", PASSWORD).await;
    let access = tokens["access_token"].as_str().unwrap();
    let ada = Person {
        access_token: access.to_owned(),
        ..ada.clone()
    };
    request(&app, &ada, "thief@new.example").await;
    let revert = app.last_mail_to("ada@example.com").await.token("revert-email");
    let confirm = app.last_mail_to("thief@new.example").await.token("confirm-email");
    app.post("/email/confirm", &json!({"token": confirm})).await.expect(200);
    let rotation = json!({"grace_seconds": 3600, "current_password": PASSWORD});
    let second = app
        .post(&format!("{}/rotate", rotated.path()), &rotation)
        .bearer(access);
    let second = second.await.expect(201)["secret"].as_str().unwrap().to_owned();
    patch(enabled.path(), json!({"enabled": true}), access)
        .await
        .expect(200);
    patch(scoped.path(), json!({"scopes": ["me:read", "keys:read"]}), access)
        .await
        .expect(200);
    patch(opened.path(), json!({"allowed_ips": []}), access)
        .await
        .expect(200);
    let narrow = json!({"scopes": [], "allowed_ips": ["127.0.0.1"], "name": "narrowed"});
    patch(narrowed.path(), narrow, access).await.expect(200);
    for key in [&revived, &extended] {
        let extend = app.post(&format!("{}/extend", key.path()), &json!({"days": 30}));
        extend.bearer(access).await.expect(200);
    }
    app.post("/email/revert", &json!({"token": revert})).await.expect(204);
    let current = |secret: &str| app.get("/api-keys/current").bearer(secret).send();
    for secret in [
        &rotated.secret,
        &second,
        &enabled.secret,
        &scoped.secret,
        &opened.secret,
        &revived.secret,
    ] {
        current(secret).await.refused(401, "invalid_token");
    }
    for key in [&untouched, &narrowed, &extended] {
        current(&key.secret).await.expect(200);
    }
    assert_eq!(
        app.number("SELECT count(*) FROM api_keys WHERE disabled_at IS NOT NULL"),
        5
    );
}

#[actix_web::test]
async fn a_disabled_person_cannot_confirm_a_change_until_the_account_is_enabled_again() {
    let app = TestApp::start();
    let (grace, ada) = (app.admin("grace").await, app.person("ada").await);
    request(&app, &ada, "ada@new.example").await;
    let body = json!({"token": app.last_mail_to("ada@new.example").await.token("confirm-email")});
    let set_disabled = |disabled: bool| {
        app.patch(&format!("/admin/users/{}", ada.id), &json!({"disabled": disabled}))
            .bearer(&grace.access_token)
    };
    set_disabled(true).await.expect(200);
    for _ in 0..2 {
        let reply = app.post("/email/confirm", &body).await;
        reply.refused(403, "account_disabled");
    }
    assert_eq!(app.records_of("email.changed"), 0);
    set_disabled(false).await.expect(200);
    app.post("/email/confirm", &body).await.expect(200);
}
