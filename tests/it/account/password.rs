//! Changing and resetting the password.

use chrono::TimeDelta;
use serde_json::json;

use crate::support::{PASSWORD, TestApp};

const NEW: &str = "violet-kettle-orbit-saddle";

#[actix_web::test]
async fn a_change_ends_the_other_sessions_and_notifies_the_user() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let other = app.log_in("ada", PASSWORD).await;
    let body = json!({"current_password": PASSWORD, "new_password": NEW, "confirm_password": NEW});
    app.put("/password", &body).bearer(&ada.access_token).await.expect(204);
    app.get("/me")
        .bearer(other["access_token"].as_str().unwrap())
        .await
        .refused(401, "invalid_token");
    let me = app.get("/me").bearer(&ada.access_token).await.expect(200);
    assert_eq!(me["unread_notifications"], 1);
    assert!(app.last_mail_to("ada@example.com").await.link().is_none());
    app.post("/auth/login", &json!({"login": "ada", "password": PASSWORD}))
        .await
        .refused(401, "invalid_credentials");
    app.log_in("ada", NEW).await;
}

#[actix_web::test]
async fn all_errors_of_a_new_password_are_reported_at_once_and_nothing_changes() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let change = |body: serde_json::Value| app.put("/password", &body).bearer(&ada.access_token).send();
    let body = json!({"current_password": "x", "new_password": "short", "confirm_password": "other"});
    change(body).await.invalid(&[
        ("#/new_password", "too_short"),
        ("#/new_password", "too_weak"),
        ("#/confirm_password", "mismatch"),
    ]);
    let body =
        json!({"current_password": 1, "new_password": "passwordpassword", "confirm_password": "x", "role": "admin"});
    change(body).await.invalid(&[
        ("#/new_password", "too_weak"),
        ("#/confirm_password", "mismatch"),
        ("#/current_password", "invalid_type"),
        ("#/role", "unknown_field"),
    ]);
    let body = json!({"current_password": PASSWORD, "new_password": PASSWORD});
    change(body).await.invalid(&[("#/new_password", "same_as_current")]);
    let body = json!({"current_password": "wrong", "new_password": NEW});
    change(body).await.invalid(&[("#/current_password", "incorrect")]);
    change(json!({"new_password": NEW}))
        .await
        .invalid(&[("#/current_password", "required")]);
    let body = json!({"current_password": PASSWORD, "new_password": "ada@example.com!"});
    change(body).await.invalid(&[("#/new_password", "contains_user_info")]);
    app.log_in("ada", PASSWORD).await;
    assert!(app.mails().await.is_empty());
}

#[actix_web::test]
async fn of_parallel_changes_one_succeeds() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let calls = (0..8).map(|n| {
        let body = json!({"current_password": PASSWORD, "new_password": format!("{NEW}-{n}")});
        app.put("/password", &body).bearer(&ada.access_token).send()
    });
    let replies = futures_util::future::join_all(calls).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 204).count(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 204) {
        reply.invalid(&[("#/current_password", "incorrect")]);
    }
}

#[actix_web::test]
async fn composed_and_decomposed_characters_are_the_same_password() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let body = json!({"current_password": PASSWORD, "new_password": "caf\u{e9}-rocket-tundra-fiddle"});
    app.put("/password", &body).bearer(&ada.access_token).await.expect(204);
    app.log_in("ada", "cafe\u{301}-rocket-tundra-fiddle").await;
}

#[actix_web::test]
async fn a_reset_link_sets_a_new_password_once() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let known = app.post("/password/forgot", &json!({"email": "ada@example.com"})).await;
    let unknown = app.post("/password/forgot", &json!({"email": "bob@example.com"})).await;
    assert_eq!((known.status, &known.bytes), (unknown.status, &unknown.bytes));
    let token = app.last_mail_to("ada@example.com").await.token("reset-password");
    assert!(app.mails_to("bob@example.com").await.is_empty());
    let weak = json!({"token": token, "new_password": "password"});
    app.post("/password/reset", &weak)
        .await
        .invalid(&[("#/new_password", "too_short"), ("#/new_password", "too_weak")]);
    let body = json!({"token": token, "new_password": NEW});
    let calls = (0..50).map(|_| app.post("/password/reset", &body).send());
    let replies = futures_util::future::join_all(calls).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 204).count(), 1);
    // Of so many passwords at once, some may find the queue of those to judge full.
    assert!(replies.iter().all(|reply| [204, 410, 503].contains(&reply.status)));
    app.get("/me")
        .bearer(&ada.access_token)
        .await
        .refused(401, "invalid_token");
    app.log_in("ada", NEW).await;
}

#[actix_web::test]
async fn a_reset_link_expires_after_an_hour_and_works_for_nothing_else() {
    let app = TestApp::start();
    app.person("ada").await;
    let token = app.reset_token("ada@example.com").await;
    for path in ["/email/confirm", "/email/revert"] {
        app.post(path, &json!({"token": token}))
            .await
            .refused(410, "link_expired_or_used");
    }
    app.post("/auth/verify-email", &json!({"token": token, "password": PASSWORD}))
        .await
        .refused(410, "link_expired_or_used");
    app.post("/auth/refresh", &json!({"refresh_token": token}))
        .await
        .refused(401, "invalid_token");
    app.advance(TimeDelta::minutes(60));
    let body = json!({"token": token, "new_password": NEW});
    app.post("/password/reset", &body)
        .await
        .refused(410, "link_expired_or_used");
    app.log_in("ada", PASSWORD).await;
}

#[actix_web::test]
async fn an_unknown_link_is_refused_before_the_new_password_is_judged() {
    let app = TestApp::start();
    let reset = json!({"token": "x", "new_password": "weak", "confirm_password": "other"});
    app.post("/password/reset", &reset)
        .await
        .refused(410, "link_expired_or_used");
    let with_other_error = json!({"token": "x", "new_password": "weak", "y": 1});
    app.post("/password/reset", &with_other_error)
        .await
        .invalid(&[("#/y", "unknown_field")]);
    let verify = json!({"token": "x", "new_password": "weak"});
    app.post("/auth/verify-email", &verify)
        .await
        .refused(410, "link_expired_or_used");
}

#[actix_web::test]
async fn all_errors_of_a_reset_are_reported_at_once_and_the_link_still_works() {
    let app = TestApp::start();
    app.person("ada").await;
    let token = app.reset_token("ada@example.com").await;
    let reset = |body: serde_json::Value| app.post("/password/reset", &body).send();
    let body = json!({"token": token, "new_password": "short", "confirm_password": "other", "role": "admin"});
    reset(body).await.invalid(&[
        ("#/new_password", "too_short"),
        ("#/new_password", "too_weak"),
        ("#/confirm_password", "mismatch"),
        ("#/role", "unknown_field"),
    ]);
    app.log_in("ada", PASSWORD).await;
    reset(json!({"token": token, "new_password": NEW})).await.expect(204);
}

#[actix_web::test]
async fn a_reset_verifies_an_unverified_address() {
    let app = TestApp::start();
    app.register("ada@example.com").await;
    let link = app.last_mail_to("ada@example.com").await.token("verify-email");
    let token = app.reset_token("ada@example.com").await;
    app.post("/password/reset", &json!({"token": token, "new_password": NEW}))
        .await
        .expect(204);
    app.log_in("ada@example.com", NEW).await;
    app.post("/auth/verify-email", &json!({"token": link, "password": PASSWORD}))
        .await
        .refused(410, "link_expired_or_used");
}

#[actix_web::test]
async fn a_change_invalidates_pending_resets() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let token = app.reset_token("ada@example.com").await;
    let body = json!({"current_password": PASSWORD, "new_password": NEW});
    app.put("/password", &body).bearer(&ada.access_token).await.expect(204);
    let body = json!({"token": token, "new_password": "marble-tunnel-fiddle-sponge"});
    app.post("/password/reset", &body)
        .await
        .refused(410, "link_expired_or_used");
}

#[actix_web::test]
async fn mail_to_one_address_is_limited() {
    let app = TestApp::start();
    app.person("ada").await;
    for _ in 0..15 {
        app.post("/password/forgot", &json!({"email": "ada@example.com"}))
            .await
            .expect(202);
        app.register("ada@example.com").await;
    }
    assert_eq!(app.mails_to("ada@example.com").await.len(), 10);
}

#[actix_web::test]
async fn the_mail_limit_does_not_block_password_resets() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    app.person("bob").await;
    for n in 0..15 {
        app.register("bob@example.com").await;
        let path = if n == 0 { "/email" } else { "/email/resend" };
        let call = app.request("POST", path).bearer(&ada.access_token);
        let call = if n == 0 {
            call.json(&json!({"new_email": "bob@example.com"}))
        } else {
            call
        };
        call.await.expect(202);
    }
    assert_eq!(app.mails_to("bob@example.com").await.len(), 10);
    app.post("/password/forgot", &json!({"email": "bob@example.com"}))
        .await
        .expect(202);
    app.last_mail_to("bob@example.com").await.token("reset-password");
}

#[actix_web::test]
async fn the_policy_can_be_read_and_checked_without_an_account() {
    let app = TestApp::start_with(&[
        ("KEYWARD_PASSWORD_CLASSES", "digit"),
        ("KEYWARD_PASSWORD_MIN_LENGTH", "14"),
    ]);
    let policy = app.get("/password/policy").await.expect(200);
    assert_eq!(
        policy,
        json!({"min_length": 14, "max_length": 1024, "min_strength": 3, "required_classes": ["digit"]})
    );
    let body = json!({"password": PASSWORD, "username": "ada"});
    let check = app.post("/password/check", &body).await.expect(200);
    assert_eq!(check["acceptable"], false);
    assert_eq!(check["problems"][0]["code"], "too_weak");
    let body = json!({"password": format!("{PASSWORD}-7")});
    assert_eq!(app.post("/password/check", &body).await.expect(200)["acceptable"], true);
}

#[actix_web::test]
async fn what_a_check_compares_with_is_as_short_as_what_an_account_can_have() {
    let app = TestApp::start();
    let long = json!({"password": PASSWORD, "email": "a".repeat(255), "username": "a".repeat(31)});
    app.post("/password/check", &long)
        .await
        .invalid(&[("#/email", "too_long"), ("#/username", "too_long")]);
    // Half of an address, as a form sends it while it is typed.
    let half = json!({"password": "ada.lovelace", "email": "ada.lovelace@"});
    let check = app.post("/password/check", &half).await.expect(200);
    assert_eq!(check["problems"][0]["code"], "contains_user_info");
}

#[actix_web::test]
async fn a_flood_of_slow_passwords_is_refused_early_and_stalls_nothing_else() {
    let app = TestApp::start();
    let body = json!({"password": "4@8({[<3691!|70$5+%2".repeat(5)});
    let flood = (0..100).map(|_| app.post("/password/check", &body).send());
    let flood = futures_util::future::join_all(flood);
    // Sent on one worker thread after the flood; its answer must not wait for those of the flood.
    let probe = async {
        for _ in 0..10 {
            app.get("/password/policy").await.expect(200);
        }
        std::time::Instant::now()
    };
    let flood = async { (flood.await, std::time::Instant::now()) };
    let ((replies, flood_ended), probe_ended) = futures_util::future::join(flood, probe).await;
    assert!(probe_ended < flood_ended);
    let refused: Vec<_> = replies.iter().filter(|reply| reply.status != 200).collect();
    assert!(!refused.is_empty() && refused.len() < replies.len());
    for reply in refused {
        reply.refused(503, "unavailable");
        assert!(reply.header("retry-after").is_some());
    }
}

#[actix_web::test]
async fn a_login_rehashes_the_password_after_a_change_of_parameters() {
    use diesel::prelude::*;
    use keyward::db::schema::users;

    let app = TestApp::start();
    app.person("ada").await;
    let costlier = app.another_with(&[("KEYWARD_ARGON2_MEMORY_KIB", "16")]);
    costlier.person("bob").await;
    let parameters_in_use = || app.transaction(keyward::users::list_hash_parameters);
    assert_eq!(parameters_in_use().await, ["m=16,t=1,p=1", "m=8,t=1,p=1"]);
    let hash = || {
        users::table
            .filter(users::username.eq("ada"))
            .select(users::password_hash.assume_not_null())
            .first::<String>(&mut app.connect())
            .unwrap()
    };
    assert!(hash().contains("m=8,"));
    costlier.log_in("ada", PASSWORD).await;
    assert!(hash().contains("m=16,"));
    assert_eq!(parameters_in_use().await, ["m=16,t=1,p=1"]);
    costlier.log_in("ada", PASSWORD).await;
}
