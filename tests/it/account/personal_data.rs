//! Exporting personal data and deleting an account.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Person, TestApp, png, wait_until};

async fn org(app: &TestApp, person: &Person, name: &str) -> Value {
    app.post("/orgs", &json!({"name": name}))
        .bearer(&person.access_token)
        .await
        .expect(201)
}

#[actix_web::test]
async fn an_export_contains_no_secrets() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    org(&app, &ada, "Engines").await;
    let body = json!({"name": "fetcher", "current_password": PASSWORD});
    let key = app.post("/api-keys", &body).bearer(&ada.access_token).await.expect(201);
    let export = app.get("/me/export").bearer(&ada.access_token).await;
    assert!(export.header("content-disposition").unwrap().starts_with("attachment"));
    let text = export.text();
    for secret in [key["secret"].as_str().unwrap(), "argon2", "hash", &ada.refresh_token] {
        assert!(!text.contains(secret), "{secret}");
    }
    let export = export.expect(200);
    assert_eq!(export["account"]["email"], "ada@example.com");
    assert!(export["exported_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(export["organisations"][0]["name"], "Engines");
    assert_eq!(export["api_keys"][0]["name"], "fetcher");
    assert_eq!(export["sessions"].as_array().unwrap().len(), 1);
    assert!(!export["activity"].as_array().unwrap().is_empty());
    app.advance(TimeDelta::seconds(605));
    let tokens = app
        .post("/auth/refresh", &json!({"refresh_token": ada.refresh_token}))
        .await
        .expect(200);
    let reply = app
        .get("/me/export")
        .bearer(tokens["access_token"].as_str().unwrap())
        .await;
    reply.refused(401, "reauthentication_required");
}

/// Inserts notifications of a person, older than any other.
fn insert_notifications(app: &TestApp, person: &Person, count: u32) {
    use diesel::prelude::*;
    let insert = "INSERT INTO notifications (id, user_id, type, data, created_at) \
        SELECT keyward_uuid_v7(now() - interval '1 day'), $1, 'password_changed', '{\"method\": \"reset_link\"}', \
            now() - interval '1 day' FROM generate_series(1, $2)";
    diesel::sql_query(insert)
        .bind::<diesel::sql_types::Uuid, _>(person.id.uuid())
        .bind::<diesel::sql_types::Integer, _>(i32::try_from(count).unwrap())
        .execute(&mut app.connect())
        .unwrap();
}

#[actix_web::test]
async fn an_export_of_many_batches_is_whole() {
    let app = TestApp::start();
    let [ada, bob] = app.people(["ada", "bob"]).await;
    insert_notifications(&app, &ada, 300);
    insert_notifications(&app, &bob, 1);
    for n in 0..3 {
        app.org(&ada, &format!("Org {n}")).await;
    }
    let export = app.get("/me/export").bearer(&ada.access_token).await;
    assert_eq!(export.header("content-type"), Some("application/json"));
    let export = export.expect(200);
    let ids: std::collections::BTreeSet<&str> = export["notifications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|notification| notification["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        (ids.len(), export["notifications"].as_array().unwrap().len()),
        (300, 300)
    );
    assert_eq!(export["organisations"].as_array().unwrap().len(), 3);
    let lists = [
        "released_usernames",
        "email_changes",
        "invitations",
        "join_requests",
        "mail_opt_outs",
    ];
    for list in lists {
        assert_eq!(export[list], json!([]), "{list}");
    }
    assert_eq!(
        export["activity"].as_array().unwrap().last().unwrap()["action"],
        "account.exported"
    );
    assert_eq!(app.records_of("account.exported"), 1);
}

#[actix_web::test]
async fn an_export_that_fails_midway_breaks_the_connection() {
    use diesel::connection::SimpleConnection as _;

    let app = TestApp::start();
    let ada = app.person("ada").await;
    app.connect()
        .batch_execute("ALTER TABLE join_requests RENAME TO unavailable")
        .unwrap();
    let url = format!("http://{}/me/export", app.address);
    let export = app.client.get(url).bearer_auth(&ada.access_token).send().await.unwrap();
    assert_eq!(export.status(), 200);
    assert!(export.bytes().await.is_err());
}

#[actix_web::test]
async fn a_person_exports_once_at_a_time() {
    let app = TestApp::start();
    let [ada, bob] = app.people(["ada", "bob"]).await;
    let slot = app.state.exports.enter(ada.id).unwrap();
    let refused = app.get("/me/export").bearer(&ada.access_token).await;
    refused.refused(429, "rate_limited");
    assert!(refused.header("retry-after").is_some() && refused.header("ratelimit").is_some());
    app.get("/me/export").bearer(&bob.access_token).await.expect(200);
    drop(slot);
    app.get("/me/export").bearer(&ada.access_token).await.expect(200);
    assert_eq!(app.records_of("account.exported"), 2);
    // The slot of an export whose client reads nothing further is released, too.
    let url = format!("http://{}/me/export", app.address);
    drop(app.client.get(url).bearer_auth(&ada.access_token).send().await.unwrap());
    wait_until(Duration::from_secs(10), async || {
        app.state.exports.enter(ada.id).is_ok()
    })
    .await;
}

#[actix_web::test]
async fn an_export_hides_the_addresses_of_administrators() {
    let app = TestApp::start();
    let [ada, grace] = [app.person("ada").await, app.admin("grace").await];
    let revoke = app.request("POST", &format!("/admin/users/{}/revoke-sessions", ada.id));
    revoke.bearer(&grace.access_token).await.expect(204);
    let ada = app.log_in("ada", PASSWORD).await;
    let token = ada["access_token"].as_str().unwrap();
    let export = app.get("/me/export").bearer(token).await.expect(200);
    let record = |action: &str| {
        let activity = export["activity"].as_array().unwrap();
        activity
            .iter()
            .find(|record| record["action"] == action)
            .unwrap()
            .clone()
    };
    let by_admin = record("user.sessions_revoked");
    assert_eq!((&by_admin["ip"], &by_admin["request_id"]), (&Value::Null, &Value::Null));
    assert_eq!(record("session.created")["ip"], "127.0.0.1");
    assert!(!export.to_string().contains("grace"));
}

#[actix_web::test]
async fn a_deleted_account_is_gone_and_its_address_can_be_registered_again() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let body = json!({"name": "fetcher", "scopes": ["me:read"], "current_password": PASSWORD});
    let key = app.post("/api-keys", &body).bearer(&ada.access_token).await.expect(201);
    let alone = org(&app, &ada, "Alone").await;
    app.delete("/me").bearer(&ada.access_token).await.expect(204);
    app.get("/me")
        .bearer(&ada.access_token)
        .await
        .refused(401, "invalid_token");
    app.get("/me")
        .bearer(key["secret"].as_str().unwrap())
        .await
        .refused(401, "invalid_token");
    app.post("/auth/refresh", &json!({"refresh_token": ada.refresh_token}))
        .await
        .refused(401, "invalid_token");
    app.register("ada@example.com").await;
    let token = app.last_mail_to("ada@example.com").await.token("verify-email");
    app.post("/auth/verify-email", &json!({"token": token, "password": PASSWORD}))
        .await
        .expect(204);
    let tokens = app.log_in("ada@example.com", PASSWORD).await;
    let access = tokens["access_token"].as_str().unwrap();
    let path = format!("/orgs/{}", alone["id"].as_str().unwrap());
    app.get(&path).bearer(access).await.refused(404, "not_found");
    // The username stays reserved, even for the new account of the same address.
    app.patch("/me", &json!({"username": "ada"}))
        .bearer(access)
        .await
        .refused(409, "username_taken");
}

#[actix_web::test]
async fn deleting_an_account_and_its_organisations_in_parallel_does_not_deadlock() {
    let app = TestApp::start();
    let people = app.people(["ada", "bob", "eve", "dan"]).await;
    let rounds = people.iter().map(async |person| {
        let orgs = [app.org(person, "One").await, app.org(person, "Two").await];
        for org in &orgs {
            let logo = app.request("PUT", &format!("/orgs/{org}/logo"));
            let reply = logo.body("image/png", png(4, 4)).bearer(&person.access_token).await;
            reply.expect_status(200);
        }
        let call = |method, path: &str| app.request(method, path).bearer(&person.access_token).send();
        let changes = orgs.iter().flat_map(|org| {
            let path = format!("/orgs/{org}");
            [call("DELETE", &format!("{path}/logo")), call("DELETE", &path)]
        });
        let all = changes.chain([call("DELETE", "/me")]);
        let replies = futures_util::future::join_all(all).await;
        for reply in &replies {
            // A request that comes second finds the organisation deleted, or the session.
            assert!(matches!(reply.status, 204 | 401 | 404), "{}", reply.text());
        }
        assert_eq!(replies.last().unwrap().status, 204);
    });
    futures_util::future::join_all(rounds).await;
    for table in ["users", "orgs", "memberships", "images"] {
        assert_eq!(app.number(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
}

#[actix_web::test]
async fn deleting_an_account_needs_a_recent_authentication() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    app.advance(TimeDelta::seconds(605));
    let tokens = app
        .post("/auth/refresh", &json!({"refresh_token": ada.refresh_token}))
        .await
        .expect(200);
    let access = tokens["access_token"].as_str().unwrap();
    app.delete("/me")
        .bearer(access)
        .await
        .refused(401, "reauthentication_required");
    let wrong = app
        .delete("/me")
        .bearer(access)
        .json(&json!({"current_password": "wrong"}))
        .await;
    wrong.invalid(&[("#/current_password", "incorrect")]);
    app.get("/me").bearer(access).await.expect(200);
    app.delete("/me")
        .bearer(access)
        .json(&json!({"current_password": PASSWORD}))
        .await
        .expect(204);
}

#[actix_web::test]
async fn the_last_administrator_who_can_act_cannot_delete_the_account() {
    let app = TestApp::start();
    let (grace, alan) = (app.admin("grace").await, app.admin("alan").await);
    let set_disabled = |disabled: bool| {
        app.patch(&format!("/admin/users/{}", alan.id), &json!({"disabled": disabled}))
            .bearer(&grace.access_token)
    };
    let delete = || app.delete("/me").bearer(&grace.access_token);
    set_disabled(true).await.expect(200);
    delete().await.refused(409, "last_owner");
    app.get("/me").bearer(&grace.access_token).await.expect(200);
    assert_eq!(app.records_of("account.deleted"), 0);
    set_disabled(false).await.expect(200);
    delete().await.expect(204);
}

#[actix_web::test]
async fn of_two_administrators_who_delete_their_accounts_at_once_one_stays() {
    let app = TestApp::start();
    let second = app.another();
    let mut remaining = app.admin("grace").await;
    for round in 0..5 {
        let other = app.admin(&format!("alan{round}")).await;
        let delete = |app: &TestApp, person: &Person| app.delete("/me").bearer(&person.access_token).send();
        let (one, two) = futures_util::future::join(delete(&app, &remaining), delete(&second, &other)).await;
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 409], "{} {}", one.text(), two.text());
        if one.status == 204 {
            remaining = other;
        }
    }
}
