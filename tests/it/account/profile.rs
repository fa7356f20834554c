//! The profile and usernames.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{Person, Reply, TestApp};

async fn change(app: &TestApp, person: &Person, body: Value) -> Reply {
    app.patch("/me", &body).bearer(&person.access_token).await
}

#[actix_web::test]
async fn a_profile_is_complete_once_username_and_nickname_are_set() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let me = app.get("/me").bearer(&ada.access_token).await.expect(200);
    assert_eq!(
        (&me["profile_complete"], &me["nickname"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(
        (&me["locale"], &me["time_zone"], &me["role"]),
        (&json!("en"), &json!("UTC"), &json!("user"))
    );
    let body =
        json!({"nickname": "Ada \u{1f469}\u{200d}\u{1f680} <b>", "locale": "zh-CN", "time_zone": "asia/shanghai"});
    let me = change(&app, &ada, body).await.expect(200);
    assert_eq!(me["profile_complete"], true);
    assert_eq!(me["nickname"], "Ada \u{1f469}\u{200d}\u{1f680} <b>");
    assert_eq!(
        (&me["locale"], &me["time_zone"]),
        (&json!("zh-CN"), &json!("Asia/Shanghai"))
    );
    assert_eq!(
        change(&app, &ada, json!({"nickname": null})).await.expect(200)["nickname"],
        Value::Null
    );
}

#[actix_web::test]
async fn a_profile_update_rejects_email_role_and_id() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let body = json!({"email": "x@example.com", "role": "admin", "id": "x", "username": null, "locale": 7});
    change(&app, &ada, body).await.invalid(&[
        ("#/email", "unknown_field"),
        ("#/role", "unknown_field"),
        ("#/id", "unknown_field"),
        ("#/username", "invalid_type"),
        ("#/locale", "invalid_type"),
    ]);
    let me = app.get("/me").bearer(&ada.access_token).await.expect(200);
    assert_eq!((&me["email"], &me["role"]), (&json!("ada@example.com"), &json!("user")));
}

#[actix_web::test]
async fn an_etag_prevents_lost_updates_and_an_empty_patch_changes_nothing() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let read = app.get("/me").bearer(&ada.access_token).await;
    let tag = read.header("etag").unwrap().to_owned();
    let empty = change(&app, &ada, json!({})).await;
    assert_eq!((empty.header("etag"), &empty.bytes), (Some(tag.as_str()), &read.bytes));
    let with = |tag: &str| {
        app.patch("/me", &json!({"nickname": "Ada"}))
            .bearer(&ada.access_token)
            .header("if-match", tag)
            .send()
    };
    let changed = with(&tag).await;
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    changed.expect(200);
    with(&tag).await.refused(412, "precondition_failed");
    with("*").await.expect(200);
    // A login changes last_login_at, but not the ETag.
    let before = app
        .get("/me")
        .bearer(&ada.access_token)
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    app.log_in("ada", crate::support::PASSWORD).await;
    assert_eq!(
        app.get("/me").bearer(&ada.access_token).await.header("etag"),
        Some(before.as_str())
    );
}

#[actix_web::test]
async fn a_username_is_unique_and_stays_reserved_after_it_is_given_up() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    change(&app, &bob, json!({"username": "ADA"}))
        .await
        .refused(409, "username_taken");
    change(&app, &ada, json!({"username": "countess"})).await.expect(200);
    change(&app, &bob, json!({"username": "ada"}))
        .await
        .refused(409, "username_taken");
    let available = |name: &'static str, person: &Person| {
        app.get(&format!("/usernames/{name}"))
            .bearer(&person.access_token)
            .send()
    };
    assert_eq!(available("ada", &bob).await.expect(200), json!({"available": false}));
    assert_eq!(available("ada", &ada).await.expect(200), json!({"available": true}));
    assert_eq!(
        available("free.name", &bob).await.expect(200),
        json!({"available": true})
    );
    for malformed in ["1a", "admin", "a%00b", "%D0%B0da"] {
        assert_eq!(
            available(malformed, &bob).await.expect(200),
            json!({"available": false}),
            "{malformed}"
        );
    }
    change(&app, &ada, json!({"username": "ada"})).await.expect(200);
    change(&app, &ada, json!({"username": "countess"})).await.expect(200);
    app.advance(TimeDelta::days(31));
    let bob = app.log_in("bob", crate::support::PASSWORD).await;
    let reply = app
        .patch("/me", &json!({"username": "ada"}))
        .bearer(bob["access_token"].as_str().unwrap())
        .await;
    reply.expect(200);
}

#[actix_web::test]
async fn of_parallel_changes_to_the_same_username_one_succeeds() {
    let app = TestApp::start();
    let mut people = Vec::new();
    for n in 0..6 {
        people.push(app.person(&format!("person{n}")).await);
    }
    let calls = people
        .iter()
        .map(|person| change(&app, person, json!({"username": "wanted"})));
    let replies = futures_util::future::join_all(calls).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        reply.refused(409, "username_taken");
    }
}
