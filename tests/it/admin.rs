//! Administration of users.

use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use keyward::values::ids::UserId;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Person, TestApp};

async fn get(app: &TestApp, admin: &Person, path: &str) -> Value {
    app.get(path).bearer(&admin.access_token).await.expect(200)
}

fn usernames(page: &Value) -> Vec<&str> {
    let all = page["data"].as_array().unwrap();
    all.iter().map(|one| one["username"].as_str().unwrap_or("-")).collect()
}

fn records(log: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = log["data"].as_array().unwrap();
    all.iter()
        .map(|one| (text(&one["action"]), text(&one["object"]["name"])))
        .collect()
}

#[actix_web::test]
async fn users_are_listed_newest_first_with_all_fields() {
    let app = TestApp::start();
    let grace = app.admin("grace").await;
    app.advance(chrono::TimeDelta::seconds(1));
    let ada = app.person("ada").await;
    app.advance(chrono::TimeDelta::seconds(1));
    app.person("bob").await;
    let first = get(&app, &grace, "/admin/users?limit=2").await;
    assert_eq!(usernames(&first), ["bob", "ada"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = get(&app, &grace, &format!("/admin/users?limit=2&cursor={cursor}")).await;
    assert_eq!(
        (usernames(&second), &second["next_cursor"]),
        (vec!["grace"], &Value::Null)
    );
    assert_eq!(second["data"][0]["role"], "admin");
    let one = get(&app, &grace, &format!("/admin/users/{}", ada.id)).await;
    assert_eq!(one, first["data"][1]);
    assert_eq!(
        (&one["email"], &one["email_verified"], &one["nickname"]),
        (&json!("ada@example.com"), &json!(true), &Value::Null)
    );
    assert_eq!(
        (&one["role"], &one["disabled"], &one["status"]),
        (&json!("user"), &json!(false), &json!("active"))
    );
    assert!(one["created_at"].is_string() && one["last_login_at"].is_string());
    assert_eq!(one.as_object().unwrap().len(), 10);
}

#[actix_web::test]
async fn users_are_found_by_any_part_of_address_username_and_nickname() {
    let app = TestApp::start();
    let grace = app.admin("grace").await;
    app.connect()
        .batch_execute(
            "INSERT INTO users (id, email, username, nickname, created_at, updated_at) VALUES \
             (gen_random_uuid(), 'a.b_c%d@one.example', 'first', 'Ärger \\ 100%', now(), now()), \
             (gen_random_uuid(), 'axbyczd@two.example', 'second', '张伟', now(), now()), \
             (gen_random_uuid(), 'third@three.example', 'third', 'O''Brien', now(), now()), \
             (gen_random_uuid(), 'nameless@four.example', NULL, NULL, now(), now())",
        )
        .unwrap();
    for (q, expected) in [
        ("ONE.EXAM", vec!["first"]),
        ("a.b", vec!["first"]),
        ("b_c", vec!["first"]),
        ("%", vec!["first"]),
        ("c%d", vec!["first"]),
        ("\\", vec!["first"]),
        ("\\ 1", vec!["first"]),
        ("ärger", vec!["first"]),
        ("ÄRGER", vec!["first"]),
        ("张", vec!["second"]),
        ("张伟", vec!["second"]),
        ("伟张", vec![]),
        ("econ", vec!["second"]),
        ("o'b", vec!["third"]),
        ("' OR 1=1 --", vec![]),
        ("nameless", vec!["-"]),
        // A match doesn't span two fields.
        ("examplefirst", vec![]),
        ("no such user", vec![]),
    ] {
        let query: String = url::form_urlencoded::byte_serialize(q.as_bytes()).collect();
        let page = get(&app, &grace, &format!("/admin/users?q={query}")).await;
        assert_eq!(usernames(&page), expected, "{q}");
    }
    let ask = |query: &str| app.get(&format!("/admin/users?{query}")).bearer(&grace.access_token);
    ask("q=").await.invalid(&[("q", "too_short")]);
    ask("q=a%0Ab").await.invalid(&[("q", "invalid_format")]);
    ask("status=gone&role=admin")
        .await
        .invalid(&[("status", "not_allowed"), ("role", "unknown_field")]);
}

#[actix_web::test]
async fn users_are_filtered_by_status() {
    let app = TestApp::start();
    let grace = app.admin("grace").await;
    let ada = app.person("ada").await;
    app.register("new@example.com").await;
    app.patch(&format!("/admin/users/{}", ada.id), &json!({"disabled": true}))
        .bearer(&grace.access_token)
        .await
        .expect(200);
    assert_eq!(
        usernames(&get(&app, &grace, "/admin/users?status=active").await),
        ["grace"]
    );
    assert_eq!(
        usernames(&get(&app, &grace, "/admin/users?status=disabled").await),
        ["ada"]
    );
    let page = get(&app, &grace, "/admin/users?status=unverified").await;
    assert_eq!(
        (usernames(&page), &page["data"][0]["status"]),
        (vec!["-"], &json!("unverified"))
    );
    assert_eq!(page["data"][0]["email"], "new@example.com");
    assert_eq!(
        usernames(&get(&app, &grace, "/admin/users?status=active&q=ada").await),
        [""; 0]
    );
}

#[actix_web::test]
async fn disabling_a_user_ends_their_sessions_and_blocks_logins_on_every_instance() {
    let app = TestApp::start();
    let other = app.another();
    let (grace, ada) = (app.admin("grace").await, app.person("ada").await);
    let path = format!("/admin/users/{}", ada.id);
    let disable = |disabled: bool| {
        app.patch(&path, &json!({"disabled": disabled}))
            .bearer(&grace.access_token)
    };
    let updated = disable(true).await.expect(200);
    assert_eq!(
        (&updated["disabled"], &updated["status"]),
        (&json!(true), &json!("disabled"))
    );
    for instance in [&app, &other] {
        let me = instance.get("/me").bearer(&ada.access_token).await;
        me.refused(401, "invalid_token");
        let body = json!({"refresh_token": ada.refresh_token});
        instance
            .post("/auth/refresh", &body)
            .await
            .refused(401, "invalid_token");
        let login = |password: &str| instance.post("/auth/login", &json!({"login": "ada", "password": password}));
        login(PASSWORD).await.refused(403, "account_disabled");
        login("wrong").await.refused(401, "invalid_credentials");
    }
    let updated_at = || {
        app.number(&format!(
            "SELECT extract(epoch FROM updated_at) * 1000 FROM users WHERE id = '{}'",
            ada.id
        ))
    };
    let disabled_at = updated_at();
    app.advance(TimeDelta::seconds(1));
    disable(true).await.expect(200);
    assert_eq!(updated_at(), disabled_at);
    let updated = disable(false).await.expect(200);
    assert_eq!(updated["status"], "active");
    assert!(updated_at() >= disabled_at + 1000);
    // Enabling the account does not make its ended sessions valid again.
    app.get("/me")
        .bearer(&ada.access_token)
        .await
        .refused(401, "invalid_token");
    app.log_in("ada", PASSWORD).await;
    let log = get(&app, &grace, &format!("/admin/audit-log?actor_id={}", grace.id)).await;
    let expected = [("user.enabled", "ada"), ("user.disabled", "ada")];
    assert_eq!(
        records(&log)[..2],
        expected.map(|(action, name)| (action.to_owned(), name.to_owned()))
    );
    assert_eq!(log["data"][1]["details"]["sessions_ended"], 1);
    assert_eq!(
        log["data"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["action"] == "user.disabled")
            .count(),
        1
    );
}

#[actix_web::test]
async fn a_changed_role_applies_to_the_next_request() {
    let app = TestApp::start();
    let (grace, ada) = (app.admin("grace").await, app.person("ada").await);
    let path = format!("/admin/users/{}", ada.id);
    let ask = || app.get("/admin/users").bearer(&ada.access_token);
    ask().await.refused(403, "forbidden_role");
    app.patch(&path, &json!({"role": "admin"}))
        .bearer(&grace.access_token)
        .await
        .expect(200);
    ask().await.expect(200);
    let updated = app
        .patch(&path, &json!({"role": "user"}))
        .bearer(&grace.access_token)
        .await
        .expect(200);
    assert_eq!(updated["role"], "user");
    ask().await.refused(403, "forbidden_role");
    let log = get(&app, &grace, "/admin/audit-log?action=user.role_changed").await;
    assert_eq!(log["data"].as_array().unwrap().len(), 2);
    assert_eq!(log["data"][1]["details"], json!({"from": "user", "to": "admin"}));
}

#[actix_web::test]
async fn platform_admins_cannot_change_their_own_account() {
    let app = TestApp::start();
    let grace = app.admin("grace").await;
    for body in [
        json!({"role": "user"}),
        json!({"disabled": true}),
        json!({}),
        json!({"x": 1}),
    ] {
        app.patch(&format!("/admin/users/{}", grace.id), &body)
            .bearer(&grace.access_token)
            .await
            .refused(403, "forbidden_role");
    }
    let one = get(&app, &grace, &format!("/admin/users/{}", grace.id)).await;
    assert_eq!((&one["role"], &one["disabled"]), (&json!("admin"), &json!(false)));
}

#[actix_web::test]
async fn of_two_platform_admins_who_demote_each_other_at_once_one_succeeds() {
    let app = TestApp::start();
    let second = app.another();
    for round in 0..5 {
        let (a, b) = (
            app.admin(&format!("ada{round}")).await,
            app.admin(&format!("bob{round}")).await,
        );
        let unmake = |app: &TestApp, by: &Person, whom: &Person| {
            app.patch(&format!("/admin/users/{}", whom.id), &json!({"role": "user"}))
                .bearer(&by.access_token)
                .send()
        };
        let (one, other) = futures_util::future::join(unmake(&app, &a, &b), unmake(&second, &b, &a)).await;
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403]);
    }
}

#[actix_web::test]
async fn an_outdated_etag_prevents_an_update() {
    let app = TestApp::start();
    let (grace, ada) = (app.admin("grace").await, app.person("ada").await);
    let path = format!("/admin/users/{}", ada.id);
    let reply = app.get(&path).bearer(&grace.access_token).await;
    let tag = reply.header("etag").unwrap().to_owned();
    // A change of the profile or a login by the user does not change the ETag.
    app.patch("/me", &json!({"nickname": "Ada"}))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    let change = |body: Value| {
        app.patch(&path, &body)
            .bearer(&grace.access_token)
            .header("if-match", &tag)
    };
    let reply = change(json!({"disabled": true})).await;
    assert_ne!(reply.header("etag"), Some(tag.as_str()));
    reply.expect(200);
    change(json!({"role": "admin"}))
        .await
        .refused(412, "precondition_failed");
    let one = get(&app, &grace, &path).await;
    assert_eq!((&one["role"], &one["disabled"]), (&json!("user"), &json!(true)));
}

#[actix_web::test]
async fn revoking_the_sessions_of_a_user_does_not_block_their_next_login() {
    let app = TestApp::start();
    let (grace, ada) = (app.admin("grace").await, app.person("ada").await);
    app.request("POST", &format!("/admin/users/{}/revoke-sessions", ada.id))
        .bearer(&grace.access_token)
        .await
        .expect(204);
    app.get("/me")
        .bearer(&ada.access_token)
        .await
        .refused(401, "invalid_token");
    app.log_in("ada", PASSWORD).await;
    let log = get(&app, &grace, "/admin/audit-log?action=user.sessions_revoked").await;
    assert_eq!(records(&log), [("user.sessions_revoked".to_owned(), "ada".to_owned())]);
    assert_eq!(log["data"][0]["details"], json!({"sessions_ended": 1}));
}

#[actix_web::test]
async fn an_invalid_update_is_rejected_and_changes_nothing() {
    let app = TestApp::start();
    let (grace, ada) = (app.admin("grace").await, app.person("ada").await);
    let path = format!("/admin/users/{}", ada.id);
    let body = json!({"role": "owner", "disabled": null, "email": "x@example.com", "status": "active"});
    app.patch(&path, &body).bearer(&grace.access_token).await.invalid(&[
        ("#/role", "not_allowed"),
        ("#/disabled", "invalid_type"),
        ("#/email", "unknown_field"),
        ("#/status", "unknown_field"),
    ]);
    let random = UserId::new(app.state.clock.now()).to_string();
    for id in [random.as_str(), "nonsense"] {
        for (method, path) in [
            ("GET", format!("/admin/users/{id}")),
            ("PATCH", format!("/admin/users/{id}")),
            ("POST", format!("/admin/users/{id}/revoke-sessions")),
        ] {
            let body = json!({"role": 1});
            let call = app.request(method, &path).bearer(&grace.access_token).json(&body);
            call.await.refused(404, "not_found");
        }
    }
    assert_eq!(get(&app, &grace, &path).await["role"], "user");
}

#[actix_web::test]
async fn only_platform_admins_can_call_the_endpoints() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let id = UserId::new(app.state.clock.now());
    for (method, path) in [
        ("GET", "/admin/users".to_owned()),
        ("GET", format!("/admin/users/{id}")),
        ("PATCH", format!("/admin/users/{}", ada.id)),
        ("POST", format!("/admin/users/{}/revoke-sessions", ada.id)),
        ("GET", "/admin/audit-log".to_owned()),
        ("POST", "/admin/announcements".to_owned()),
    ] {
        let call = || app.request(method, &path).json(&json!({"role": "admin"}));
        call().await.refused(401, "authentication_required");
        call().bearer(&ada.access_token).await.refused(403, "forbidden_role");
    }
    app.get("/me").bearer(&ada.access_token).await.expect(200);
}
