//! `Idempotency-Key`.

use chrono::TimeDelta;
use serde_json::json;

use crate::support::{Person, Reply, TestApp};

async fn ask(app: &TestApp, person: &Person, key: &str, new_email: &str) -> Reply {
    let body = json!({"new_email": new_email});
    app.post("/email", &body)
        .bearer(&person.access_token)
        .header("idempotency-key", key)
        .await
}

#[actix_web::test]
async fn a_repeated_request_gets_the_first_answer_and_has_no_second_effect() {
    let app = TestApp::start();
    let second = app.another();
    let ada = app.person("ada").await;
    let first = ask(&app, &ada, "key-1", "ada@new.example").await;
    let again = ask(&second, &ada, "key-1", "ada@new.example").await;
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
async fn fifty_at_once_have_one_effect() {
    let app = TestApp::start();
    let second = app.another();
    let ada = app.person("ada").await;
    let calls = (0..50).map(|n| {
        ask(
            if n % 2 == 0 { &app } else { &second },
            &ada,
            "key-1",
            "ada@new.example",
        )
    });
    let replies = futures_util::future::join_all(calls).await;
    let fresh = replies
        .iter()
        .filter(|reply| reply.status == 202 && reply.header("idempotency-replayed").is_none());
    assert_eq!(fresh.count(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 202) {
        reply.refused(409, "idempotency_in_progress");
    }
    assert_eq!(app.mails_to("ada@new.example").await.len(), 1);
}

#[actix_web::test]
async fn a_key_is_good_for_one_request_of_one_person() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    ask(&app, &ada, "key-1", "ada@new.example").await.expect(202);
    ask(&app, &ada, "key-1", "other@new.example")
        .await
        .refused(422, "idempotency_key_reused");
    ask(&app, &bob, "key-1", "bob@new.example").await.expect(202);
    for bad in ["", "with space", &"a".repeat(256)] {
        ask(&app, &ada, bad, "x@new.example")
            .await
            .refused(400, "malformed_request");
    }
}

#[actix_web::test]
async fn failures_are_not_remembered_and_answers_for_a_day_only() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    ask(&app, &ada, "key-1", "ada@example.com")
        .await
        .invalid(&[("#/new_email", "same_as_current")]);
    ask(&app, &ada, "key-1", "ada@new.example").await.expect(202);
    app.advance(TimeDelta::hours(24));
    let ada = Person {
        access_token: app.log_in("ada", crate::support::PASSWORD).await["access_token"]
            .as_str()
            .unwrap()
            .to_owned(),
        ..ada
    };
    let reply = ask(&app, &ada, "key-1", "third@new.example").await;
    assert_eq!((reply.status, reply.header("idempotency-replayed")), (202, None));
}
