use keyward::notifications::{Event, NotificationType, PasswordChangeMethod, Recipient, notify};
use keyward::values::ids::OrgId;
use serde_json::{Map, Value, json};

use crate::support::{Person, TestApp};

fn all_wanted() -> Map<String, Value> {
    let types = NotificationType::ALL.iter();
    types.map(|kind| (kind.as_str().to_owned(), json!(true))).collect()
}

async fn get(app: &TestApp, person: &Person) -> Value {
    app.get("/notifications/preferences")
        .bearer(&person.access_token)
        .await
        .expect(200)
}

#[actix_web::test]
async fn every_type_is_mailed_until_the_user_opts_out() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    assert_eq!(get(&app, &ada).await, json!({"mail": all_wanted()}));
    let choice = json!({"mail": {"announcement": false, "join_request": false, "member_removed": true}});
    let answer = app
        .put("/notifications/preferences", &choice)
        .bearer(&ada.access_token)
        .await
        .expect(200);
    let mut expected = all_wanted();
    expected.insert("announcement".to_owned(), json!(false));
    expected.insert("join_request".to_owned(), json!(false));
    assert_eq!(answer, json!({"mail": expected}));
    assert_eq!(get(&app, &ada).await, answer);
    assert_eq!(get(&app, &bob).await, json!({"mail": all_wanted()}));
    // The response is a valid request, and a request replaces all earlier choices.
    app.put("/notifications/preferences", &answer)
        .bearer(&ada.access_token)
        .await
        .expect(200);
    assert_eq!(get(&app, &ada).await, answer);
    app.put("/notifications/preferences", &json!({"mail": {}}))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    assert_eq!(get(&app, &ada).await, json!({"mail": all_wanted()}));
}

#[actix_web::test]
async fn security_types_cannot_be_switched_off() {
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
    let expected: Vec<(&str, &str)> = expected
        .iter()
        .map(|(pointer, code)| (pointer.as_str(), *code))
        .collect();
    app.put("/notifications/preferences", &json!({"mail": choice}))
        .bearer(&ada.access_token)
        .await
        .invalid(&expected);
    assert_eq!(get(&app, &ada).await, json!({"mail": all_wanted()}));
    app.put("/notifications/preferences", &json!({}))
        .bearer(&ada.access_token)
        .await
        .invalid(&[("#/mail", "required")]);
}

#[actix_web::test]
async fn a_type_without_mail_still_appears_in_the_app() {
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
        let removed = Event::MemberRemoved {
            org_id: OrgId::new(now),
            org_name: "Acme".to_owned(),
        };
        notify(tx, recipient, &removed)?;
        let method = PasswordChangeMethod::CurrentPassword;
        notify(tx, recipient, &Event::PasswordChanged { method })
    })
    .await;
    let page = app.get("/notifications").bearer(&ada.access_token).await.expect(200);
    assert_eq!(page["unread_count"], 2);
    let subjects: Vec<String> = app.mails().await.into_iter().map(|mail| mail.subject).collect();
    assert_eq!(subjects, ["Your password was changed"]);
}

#[actix_web::test]
async fn an_invitation_without_mail_can_be_accepted_in_the_app() {
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
    // The action works, and resolves the notification.
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
