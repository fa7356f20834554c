use keyward::notifications::email::Message;
use keyward::notifications::{Notice, Recipient, tell};
use keyward::values::ids::OrgId;
use serde_json::{Map, Value, json};

use crate::support::{Person, TestApp};

const TYPES: [&str; 14] = [
    "announcement",
    "org_invitation",
    "join_request",
    "join_request_decided",
    "member_role_changed",
    "member_removed",
    "email_change_pending",
    "email_changed",
    "password_changed",
    "api_key_created",
    "api_key_expiring",
    "api_key_revoked",
    "new_sign_in",
    "refresh_token_reused",
];

fn everything() -> Map<String, Value> {
    TYPES.iter().map(|kind| ((*kind).to_owned(), json!(true))).collect()
}

async fn get(app: &TestApp, person: &Person) -> Value {
    app.get("/notifications/preferences")
        .bearer(&person.access_token)
        .await
        .expect(200)
}

#[actix_web::test]
async fn everything_comes_by_mail_until_somebody_does_not_want_it() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    assert_eq!(get(&app, &ada).await, json!({"mail": everything()}));
    let choice = json!({"mail": {"announcement": false, "join_request": false, "member_removed": true}});
    let answer = app
        .put("/notifications/preferences", &choice)
        .bearer(&ada.access_token)
        .await
        .expect(200);
    let mut expected = everything();
    expected.insert("announcement".to_owned(), json!(false));
    expected.insert("join_request".to_owned(), json!(false));
    assert_eq!(answer, json!({"mail": expected}));
    assert_eq!(get(&app, &ada).await, answer);
    assert_eq!(get(&app, &bob).await, json!({"mail": everything()}));
    // What is answered can be sent back, and a new choice replaces the one before.
    app.put("/notifications/preferences", &answer)
        .bearer(&ada.access_token)
        .await
        .expect(200);
    assert_eq!(get(&app, &ada).await, answer);
    app.put("/notifications/preferences", &json!({"mail": {}}))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    assert_eq!(get(&app, &ada).await, json!({"mail": everything()}));
}

#[actix_web::test]
async fn what_tells_of_the_safety_of_the_account_cannot_be_switched_off() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let security = [
        "password_changed",
        "email_change_pending",
        "email_changed",
        "api_key_created",
        "api_key_revoked",
        "new_sign_in",
        "refresh_token_reused",
    ];
    let mut choice: Map<String, Value> = security.iter().map(|kind| ((*kind).to_owned(), json!(false))).collect();
    choice.insert("announcement".to_owned(), json!(false));
    choice.insert("moon/landing".to_owned(), json!(true));
    choice.insert("join_request".to_owned(), json!("no"));
    let mut expected: Vec<(String, &str)> = security
        .iter()
        .map(|kind| (format!("#/mail/{kind}"), "not_allowed"))
        .collect();
    expected.push(("#/mail/moon~1landing".to_owned(), "unknown_field"));
    expected.push(("#/mail/join_request".to_owned(), "invalid_type"));
    let expected: Vec<(&str, &str)> = expected.iter().map(|(place, code)| (place.as_str(), *code)).collect();
    app.put("/notifications/preferences", &json!({"mail": choice}))
        .bearer(&ada.access_token)
        .await
        .invalid(&expected);
    assert_eq!(get(&app, &ada).await, json!({"mail": everything()}));
    app.put("/notifications/preferences", &json!({}))
        .bearer(&ada.access_token)
        .await
        .invalid(&[("#/mail", "required")]);
}

#[actix_web::test]
async fn who_does_not_want_a_mail_is_told_in_the_centre_alone() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let choice = json!({"mail": {"member_removed": false}});
    app.put("/notifications/preferences", &choice)
        .bearer(&ada.access_token)
        .await
        .expect(200);
    let now = app.state.clock.now();
    let (id, email) = (ada.id, ada.email.clone());
    app.transaction(move |tx| {
        let recipient = Recipient {
            user_id: id,
            email: &email,
            locale: keyward::values::locale::Locale::En,
        };
        let org_name = "Acme".to_owned();
        let notice = Notice::MemberRemoved {
            org_id: OrgId::new(now),
            org_name: org_name.clone(),
        };
        tell(tx, recipient, (&notice, None), &Message::MemberRemoved { org_name })?;
        let security = Message::PasswordChanged { at: now };
        tell(tx, recipient, (&Notice::PasswordChanged {}, None), &security)
    })
    .await;
    let page = app.get("/notifications").bearer(&ada.access_token).await.expect(200);
    assert_eq!(page["unread_count"], 2);
    let subjects: Vec<String> = app.mails().await.into_iter().map(|mail| mail.subject).collect();
    assert_eq!(subjects, ["Your password was changed"]);
}

#[actix_web::test]
async fn who_does_not_want_invitations_by_mail_finds_them_in_the_centre() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    app.put(
        "/notifications/preferences",
        &json!({"mail": {"org_invitation": false}}),
    )
    .bearer(&bob.access_token)
    .await
    .expect(200);
    for email in ["bob@example.com", "carol@example.com"] {
        app.post(
            &format!("/orgs/{org}/invitations"),
            &json!({"email": email, "role": "member"}),
        )
        .bearer(&ada.access_token)
        .await
        .expect(201);
    }
    assert!(app.mails_to("bob@example.com").await.is_empty());
    assert_eq!(app.mails_to("carol@example.com").await.len(), 1);
    let page = app.get("/notifications").bearer(&bob.access_token).await.expect(200);
    let action = &page["data"][0]["actions"][0];
    assert_eq!(action["name"], "accept");
    // What the notification says can be done, can be done; then there is nothing left to do.
    app.request(action["method"].as_str().unwrap(), action["path"].as_str().unwrap())
        .bearer(&bob.access_token)
        .await
        .expect(200);
    let page = app
        .get("/notifications?type=org_invitation")
        .bearer(&bob.access_token)
        .await
        .expect(200);
    assert_eq!(page["data"][0]["actions"], json!([]));
    assert!(page["data"][0]["resolved_at"].is_string());
}
