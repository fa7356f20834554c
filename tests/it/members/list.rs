//! Listing and reading members.

use chrono::TimeDelta;
use keyward::auth::OrgRole;
use serde_json::{Value, json};

use crate::support::{Person, TestApp};

fn names(page: &Value) -> Vec<String> {
    let name = |member: &Value| member["username"].as_str().unwrap().to_owned();
    page["data"].as_array().unwrap().iter().map(name).collect()
}

async fn list(app: &TestApp, org: &str, query: &str, person: &Person) -> Value {
    app.get(&format!("/orgs/{org}/members{query}"))
        .bearer(&person.access_token)
        .await
        .expect(200)
}

#[actix_web::test]
async fn members_can_be_filtered_by_name_and_role() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let org = app.org(&ada, "Acme").await;
    for name in ["a_b", "a.b", "bob"] {
        app.advance(TimeDelta::seconds(1));
        let person = app.person(name).await;
        app.join(&org, &person, OrgRole::Member).await;
        let nickname = json!({"nickname": format!("100% {name} Ärger")});
        app.patch("/me", &nickname)
            .bearer(&person.access_token)
            .await
            .expect(200);
    }
    assert_eq!(names(&list(&app, &org, "", &ada).await), ["bob", "a.b", "a_b", "ada"]);
    assert_eq!(names(&list(&app, &org, "?q=A_B", &ada).await), ["a_b"]);
    assert_eq!(names(&list(&app, &org, "?q=0%25%20bo", &ada).await), ["bob"]);
    assert_eq!(names(&list(&app, &org, "?q=%5C", &ada).await), Vec::<String>::new());
    assert_eq!(names(&list(&app, &org, "?role=owner", &ada).await), ["ada"]);
    assert_eq!(
        names(&list(&app, &org, "?role=member&q=b&limit=1", &ada).await),
        ["bob"]
    );
    app.get(&format!("/orgs/{org}/members?role=boss&limit=0&sort=x"))
        .bearer(&ada.access_token)
        .await
        .invalid(&[
            ("role", "not_allowed"),
            ("limit", "out_of_range"),
            ("sort", "unknown_field"),
        ]);
    let page = list(&app, &org, "?limit=1", &ada).await;
    let cursor = page["next_cursor"].as_str().unwrap();
    app.get(&format!("/orgs/{org}/members?role=member&cursor={cursor}"))
        .bearer(&ada.access_token)
        .await
        .refused(400, "invalid_cursor");
}

#[actix_web::test]
async fn a_member_is_shown_without_the_email_address() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Member).await;
    let path = format!("/orgs/{org}/members/{}", ada.id);
    let reply = app.get(&path).bearer(&bob.access_token).await;
    assert!(reply.header("etag").is_some());
    let member = reply.expect(200);
    let keys: Vec<&String> = member.as_object().unwrap().keys().collect();
    let expected = [
        "user_id",
        "username",
        "nickname",
        "avatar_url",
        "role",
        "disabled_services",
        "joined_at",
    ];
    assert_eq!(keys, expected);
    assert_eq!(member, list(&app, &org, "?role=owner", &bob).await["data"][0]);
    app.get(&format!("/orgs/{org}/members/{}", uuid::Uuid::now_v7()))
        .bearer(&bob.access_token)
        .await
        .refused(404, "not_found");
}

#[actix_web::test]
async fn paging_lists_each_remaining_member_once_while_others_join_and_leave() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let org = app.org(&ada, "Acme").await;
    let mut remaining = vec!["ada".to_owned()];
    let mut leaving = Vec::new();
    for n in 0..12 {
        // Half of them joined in the same millisecond.
        if n % 2 == 0 {
            app.advance(TimeDelta::milliseconds(1));
        }
        let person = app.person(&format!("p{n:02}")).await;
        app.join(&org, &person, OrgRole::Member).await;
        if n % 3 == 0 {
            leaving.push(person);
        } else {
            remaining.push(person.username);
        }
    }
    let (mut seen, mut query, mut round) = (Vec::new(), "?limit=2".to_owned(), 0);
    loop {
        let page = list(&app, &org, &query, &ada).await;
        seen.extend(names(&page));
        if let Some(person) = leaving.pop() {
            app.delete(&format!("/orgs/{org}/members/{}", person.id))
                .bearer(&person.access_token)
                .await
                .expect(204);
        }
        app.advance(TimeDelta::seconds(1));
        let late = app.person(&format!("late{round}")).await;
        app.join(&org, &late, OrgRole::Member).await;
        round += 1;
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        query = format!("?limit=2&cursor={cursor}");
    }
    for name in &remaining {
        assert_eq!(
            seen.iter().filter(|seen| *seen == name).count(),
            1,
            "{name} in {seen:?}"
        );
    }
    assert!(!seen.iter().any(|name| name.starts_with("late")), "{seen:?}");
}
