//! `Idempotency-Key`.

use chrono::TimeDelta;
use serde_json::json;

use crate::support::{PASSWORD, Person, Reply, TestApp};

async fn request_email_change(app: &TestApp, person: &Person, key: &str, new_email: &str) -> Reply {
    let body = json!({"new_email": new_email});
    app.post("/email", &body)
        .bearer(&person.access_token)
        .header("idempotency-key", key)
        .await
}

#[actix_web::test]
async fn a_repeated_request_gets_the_first_response_and_has_no_second_effect() {
    let app = TestApp::start();
    let second = app.another();
    let ada = app.person("ada").await;
    let first = request_email_change(&app, &ada, "key-1", "ada@new.example").await;
    let again = request_email_change(&second, &ada, "key-1", "ada@new.example").await;
    assert_eq!((first.status, &first.bytes), (again.status, &again.bytes));
    assert_eq!(
        (
            first.header("idempotency-replayed"),
            again.header("idempotency-replayed")
        ),
        (None, Some("true"))
    );
    assert_eq!(app.mails_to("ada@new.example").await.len(), 1);
}

#[actix_web::test]
async fn fifty_parallel_repetitions_have_one_effect() {
    let app = TestApp::start();
    let second = app.another();
    let ada = app.person("ada").await;
    let calls = (0..50).map(|n| {
        request_email_change(
            if n % 2 == 0 { &app } else { &second },
            &ada,
            "key-1",
            "ada@new.example",
        )
    });
    let replies = futures_util::future::join_all(calls).await;
    let first_responses = replies
        .iter()
        .filter(|reply| reply.status == 202 && reply.header("idempotency-replayed").is_none());
    assert_eq!(first_responses.count(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 202) {
        reply.refused(409, "idempotency_in_progress");
    }
    assert_eq!(app.mails_to("ada@new.example").await.len(), 1);
}

#[actix_web::test]
async fn a_key_belongs_to_one_request_of_one_user() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    request_email_change(&app, &ada, "key-1", "ada@new.example")
        .await
        .expect(202);
    request_email_change(&app, &ada, "key-1", "other@new.example")
        .await
        .refused(422, "idempotency_key_reused");
    request_email_change(&app, &bob, "key-1", "bob@new.example")
        .await
        .expect(202);
    for bad in ["", "with space", &"a".repeat(256)] {
        request_email_change(&app, &ada, bad, "x@new.example")
            .await
            .refused(400, "malformed_request");
    }
}

#[actix_web::test]
async fn errors_are_not_stored_and_responses_expire_after_a_day() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    request_email_change(&app, &ada, "key-1", "ada@example.com")
        .await
        .invalid(&[("#/new_email", "same_as_current")]);
    request_email_change(&app, &ada, "key-1", "ada@new.example")
        .await
        .expect(202);
    app.advance(TimeDelta::hours(24));
    let ada = Person {
        access_token: app.log_in("ada", PASSWORD).await["access_token"]
            .as_str()
            .unwrap()
            .to_owned(),
        ..ada
    };
    let reply = request_email_change(&app, &ada, "key-1", "third@new.example").await;
    assert_eq!((reply.status, reply.header("idempotency-replayed")), (202, None));
}

#[actix_web::test]
async fn route_credential_and_permission_are_checked_before_the_key() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    request_email_change(&app, &ada, "used", "ada@new.example")
        .await
        .expect(202);
    let key = app.key(&ada, json!({"scopes": ["keys:read"]})).await;
    for name in ["used", "no name"] {
        let call = |path: &str, credential: &str| {
            app.post(path, &json!({"x": "a".repeat(70_000)}))
                .bearer(credential)
                .header("idempotency-key", name)
                .send()
        };
        call("/nope", &ada.access_token).await.refused(404, "not_found");
        call("/me", &ada.access_token).await.refused(405, "method_not_allowed");
        call("/api-keys", &key.secret).await.refused(403, "session_required");
        call("/api-keys", "x").await.refused(401, "invalid_token");
        let unknown = format!("/api-keys/{}/rotate", uuid::Uuid::now_v7());
        call(&unknown, &ada.access_token).await.refused(404, "not_found");
        call("/api-keys", &ada.access_token)
            .await
            .refused(413, "payload_too_large");
        // Public endpoints ignore credentials, and so the key.
        let login = json!({"login": "ada", "password": PASSWORD});
        let login = app.post("/auth/login", &login).bearer(&ada.access_token);
        login.header("idempotency-key", name).await.expect(200);
    }
    // A malformed key is reported before errors of the body.
    for key in ["", "no name"] {
        let org = app.post("/orgs", &json!({"name": ""})).bearer(&ada.access_token);
        org.header("idempotency-key", key)
            .await
            .refused(400, "malformed_request");
    }
    let twice = app.post("/orgs", &json!({"name": "Twice"})).bearer(&ada.access_token);
    let twice = twice.header("idempotency-key", "a").header("idempotency-key", "b");
    twice.await.refused(400, "malformed_request");
    assert_eq!(app.number("SELECT count(*) FROM orgs"), 0);
}

#[actix_web::test]
async fn a_password_cannot_be_guessed_by_repeating_a_request() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let create = |password: &str| {
        let members = json!({"name": "a key", "current_password": password});
        app.create_key(&ada, members).header("idempotency-key", "k").send()
    };
    create(PASSWORD).await.expect(201);
    assert_eq!(create(PASSWORD).await.header("idempotency-replayed"), Some("true"));
    for guess in 0..10 {
        let wrong = create(&format!("guess {guess}")).await;
        wrong.invalid(&[("#/current_password", "incorrect")]);
    }
    // From now on the right password gets the same response as a wrong one.
    create("guess 10").await.refused(429, "rate_limited");
    create(PASSWORD).await.refused(429, "rate_limited");
    app.advance(TimeDelta::minutes(15));
    let ada = app.log_in("ada", PASSWORD).await;
    let again = app
        .post("/api-keys", &json!({"name": "a key", "current_password": PASSWORD}))
        .bearer(ada["access_token"].as_str().unwrap())
        .header("idempotency-key", "k")
        .await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.expect(201)["secret"], serde_json::Value::Null);
    assert_eq!(app.number("SELECT count(*) FROM api_keys"), 1);
}

#[actix_web::test]
async fn parallel_guesses_are_counted_one_by_one() {
    let app = TestApp::start();
    let second = app.another();
    let ada = app.person("ada").await;
    let create = |app: &TestApp, password: &str| {
        let members = json!({"name": "a key", "current_password": password});
        app.create_key(&ada, members).header("idempotency-key", "k").send()
    };
    create(&app, PASSWORD).await.expect(201);
    let guesses: Vec<String> = (0..40).map(|guess| format!("guess {guess}")).collect();
    let calls = guesses.iter().enumerate().map(|(number, guess)| {
        let app = if number % 2 == 0 { &app } else { &second };
        create(app, guess)
    });
    for reply in futures_util::future::join_all(calls).await {
        assert!(matches!(reply.status, 422 | 429), "{}", reply.text());
    }
    assert_eq!(app.number("SELECT mismatches FROM idempotency_keys"), 5);
}
