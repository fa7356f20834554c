//! The audit logs of an account, of an organisation and of the platform.

use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use keyward::audit::{Action, Entry, record};
use keyward::auth::OrgRole;
use keyward::values::ids::{Id as _, OrgId, UserId};
use serde_json::{Value, json};

use crate::support::{PASSWORD, Person, TestApp};

async fn log(app: &TestApp, person: &Person, path: &str) -> Value {
    app.get(path).bearer(&person.access_token).await.expect(200)
}

fn actions(page: &Value) -> Vec<&str> {
    let all = page["data"].as_array().unwrap();
    all.iter().map(|one| one["action"].as_str().unwrap()).collect()
}

/// Writes records of actions of the system, one per second.
async fn seed(app: &TestApp, org_id: Option<OrgId>, user_id: Option<UserId>, actions: &[Action]) {
    for action in actions.iter().copied() {
        app.advance(TimeDelta::seconds(1));
        let entry = Entry::by_system(app.state.clock.now(), action)
            .org(org_id)
            .user(user_id);
        app.transaction(move |tx| record(tx, entry.clone())).await;
    }
}

async fn seed_org(app: &TestApp, members: &[(&Person, OrgRole)]) -> OrgId {
    let (owner, others) = members.split_first().unwrap();
    let org = app.org(owner.0, "Acme").await;
    for (person, role) in others {
        app.join(&org, person, *role).await;
    }
    OrgId::parse(&org).unwrap()
}

#[actix_web::test]
async fn a_record_has_actor_object_address_request_and_time() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let other = app.log_in("ada", PASSWORD).await;
    let session = other["session_id"].as_str().unwrap();
    let reply = app
        .delete(&format!("/auth/sessions/{session}"))
        .bearer(&ada.access_token)
        .header("x-request-id", "a-request-of-mine")
        .await;
    reply.expect(204);
    let page = log(&app, &ada, "/me/activity").await;
    let one = &page["data"][0];
    assert_eq!(one["action"], "session.ended");
    assert_eq!(
        one["actor"],
        json!({"type": "user", "id": ada.id.to_string(), "name": "ada"})
    );
    assert_eq!(one["object"], json!({"type": "session", "id": session, "name": null}));
    assert_eq!(one["result"], "success");
    assert_eq!(
        (&one["ip"], &one["request_id"]),
        (&json!("127.0.0.1"), &json!("a-request-of-mine"))
    );
    assert_eq!(one["details"], json!({}));
    assert!(one["at"].as_str().unwrap().ends_with('Z') && one["id"].is_string());
    assert_eq!(one.as_object().unwrap().len(), 9);
}

#[actix_web::test]
async fn users_see_records_of_their_account_without_the_addresses_of_others() {
    let app = TestApp::start();
    let (grace, ada, bob) = (
        app.admin("grace").await,
        app.person("ada").await,
        app.person("bob").await,
    );
    seed(&app, None, Some(bob.id), &[Action::PasswordChanged]).await;
    app.request("POST", &format!("/admin/users/{}/revoke-sessions", ada.id))
        .bearer(&grace.access_token)
        .await
        .expect(204);
    let tokens = app.log_in("ada", PASSWORD).await;
    let page = app
        .get("/me/activity")
        .bearer(tokens["access_token"].as_str().unwrap())
        .await
        .expect(200);
    assert!(!actions(&page).contains(&"password.changed"));
    let revoked = page["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["action"] == "user.sessions_revoked")
        .unwrap();
    assert_eq!(revoked["actor"]["name"], "grace");
    assert_eq!((&revoked["ip"], &revoked["request_id"]), (&Value::Null, &Value::Null));
    let whole = log(&app, &grace, "/admin/audit-log?action=user.sessions_revoked").await;
    assert_eq!(whole["data"][0]["ip"], "127.0.0.1");
}

#[actix_web::test]
async fn pages_are_newest_first_and_stable_while_records_are_added() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    seed(
        &app,
        None,
        Some(ada.id),
        &[
            Action::ApiKeyCreated,
            Action::ApiKeyExtended,
            Action::ApiKeyRotated,
            Action::ApiKeyUpdated,
        ],
    )
    .await;
    let first = log(&app, &ada, "/me/activity?limit=2").await;
    assert_eq!(actions(&first), ["api_key.updated", "api_key.rotated"]);
    seed(&app, None, Some(ada.id), &[Action::ApiKeyDeleted]).await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = log(&app, &ada, &format!("/me/activity?limit=2&cursor={cursor}")).await;
    assert_eq!(actions(&second), ["api_key.extended", "api_key.created"]);
    app.get(&format!("/me/activity?action=api_key.created&cursor={cursor}"))
        .bearer(&ada.access_token)
        .await
        .refused(400, "invalid_cursor");
}

#[actix_web::test]
async fn records_with_the_same_time_are_listed_exactly_once() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    app.advance(TimeDelta::seconds(1));
    let now = app.state.clock.now();
    let id = ada.id;
    app.transaction(move |tx| {
        for _ in 0..7 {
            record(tx, Entry::by_system(now, Action::ApiKeyUpdated).user(id))?;
        }
        Ok(())
    })
    .await;
    let mut ids = Vec::new();
    let mut path = "/me/activity?action=api_key.updated&limit=2".to_owned();
    loop {
        let page = log(&app, &ada, &path).await;
        ids.extend(page["data"].as_array().unwrap().iter().map(|one| one["id"].to_string()));
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/me/activity?action=api_key.updated&limit=2&cursor={cursor}"),
            None => break,
        }
    }
    let listed = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((listed, ids.len()), (7, 7));
}

#[actix_web::test]
async fn records_are_filtered_by_actor_action_and_time() {
    let app = TestApp::start();
    let (grace, ada) = (app.admin("grace").await, app.person("ada").await);
    seed(
        &app,
        None,
        None,
        &[Action::ApiKeyCreated, Action::ApiKeyExtended, Action::ApiKeyRotated],
    )
    .await;
    let at = |page: &Value, index: usize| page["data"][index]["at"].as_str().unwrap().to_owned();
    let all = log(&app, &grace, "/admin/audit-log").await;
    assert_eq!(
        actions(&all)[..3],
        ["api_key.rotated", "api_key.extended", "api_key.created"]
    );
    let (two, three) = (at(&all, 1), at(&all, 0));
    // `from` is inclusive, `to` is exclusive.
    let between = log(&app, &grace, &format!("/admin/audit-log?from={two}&to={three}")).await;
    assert_eq!(actions(&between), ["api_key.extended"]);
    let by_ada = log(&app, &grace, &format!("/admin/audit-log?actor_id={}", ada.id)).await;
    assert!(!actions(&by_ada).is_empty());
    let actor = json!(ada.id.to_string());
    assert!(
        by_ada["data"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["actor"]["id"] == actor)
    );
    for nothing in [
        "actor_id=nonsense",
        "actor_id=0198a3c0-0000-7000-8000-000000000000",
        "action=t",
        "action=%25",
        "from=2100-01-01T00:00:00Z",
    ] {
        let page = log(&app, &grace, &format!("/admin/audit-log?{nothing}")).await;
        assert_eq!(actions(&page), [""; 0], "{nothing}");
    }
    app.get("/admin/audit-log?from=yesterday&to=2020-13-01T00:00:00Z&who=x")
        .bearer(&grace.access_token)
        .await
        .invalid(&[
            ("from", "invalid_format"),
            ("to", "invalid_format"),
            ("who", "unknown_field"),
        ]);
}

#[actix_web::test]
async fn only_owners_and_admins_can_read_the_log_of_an_organisation() {
    let app = TestApp::start();
    let (ada, bob, carol, eve) = (
        app.person("ada").await,
        app.person("bob").await,
        app.person("carol").await,
        app.admin("eve").await,
    );
    let org = seed_org(
        &app,
        &[
            (&ada, OrgRole::Owner),
            (&bob, OrgRole::Admin),
            (&carol, OrgRole::Member),
        ],
    )
    .await;
    let other = seed_org(&app, &[(&eve, OrgRole::Owner)]).await;
    seed(&app, Some(org), None, &[Action::OrgChanged]).await;
    seed(&app, Some(other), None, &[Action::OrgLogoChanged]).await;
    let path = format!("/orgs/{org}/audit-log");
    for person in [&ada, &bob] {
        assert_eq!(actions(&log(&app, person, &path).await), ["org.changed", "org.created"]);
    }
    app.get(&format!("{path}?surprise=1"))
        .bearer(&carol.access_token)
        .await
        .refused(403, "forbidden_role");
    // A platform admin is not a member either.
    let foreign = app.get(&path).bearer(&eve.access_token).await;
    foreign.refused(404, "not_found");
    let random = app
        .get(&format!("/orgs/{}/audit-log", OrgId::new(app.state.clock.now())))
        .bearer(&eve.access_token)
        .await;
    assert_eq!(foreign.without_request_id(), random.without_request_id());
    // A cursor of one organisation is invalid for another.
    seed(&app, Some(org), None, &[Action::OrgChanged]).await;
    let page = log(&app, &ada, &format!("{path}?limit=1")).await;
    let cursor = page["next_cursor"].as_str().unwrap();
    app.get(&format!("/orgs/{other}/audit-log?limit=1&cursor={cursor}"))
        .bearer(&eve.access_token)
        .await
        .refused(400, "invalid_cursor");
}

#[actix_web::test]
async fn only_platform_admins_can_read_the_log_of_the_platform() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    app.get("/admin/audit-log")
        .bearer(&ada.access_token)
        .await
        .refused(403, "forbidden_role");
}

#[actix_web::test]
async fn the_api_document_describes_every_action() {
    let app = TestApp::start();
    let document = app.get("/openapi.json").await.expect(200);
    let schema = &document["components"]["schemas"]["AuditAction"];
    let names: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
    assert_eq!(schema["enum"], json!(names));
    let description = schema["description"].as_str().unwrap();
    for action in Action::ALL {
        assert!(description.contains(&format!("`{action}`: {}", action.description())));
    }
}

#[actix_web::test]
async fn the_database_refuses_to_change_records_and_to_delete_those_younger_than_the_retention() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let count = || app.number("SELECT count(*) FROM audit_log");
    let refused = |statements: &str| {
        let error = app.connect().batch_execute(statements).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    };
    app.sql(
        "INSERT INTO audit_log (id, at, action, actor_type, result) VALUES \
         (gen_random_uuid(), now() - interval '401 days', 'session.created', 'system', 'success'), \
         (gen_random_uuid(), now() - interval '399 days', 'session.created', 'system', 'success')",
    );
    let before = count();
    for statement in [
        "UPDATE audit_log SET ip = NULL",
        "DELETE FROM audit_log",
        "DELETE FROM audit_log WHERE at < now() - interval '398 days'",
        "TRUNCATE audit_log",
    ] {
        refused(statement);
    }
    assert_eq!(count(), before);
    app.sql("DELETE FROM audit_log WHERE at < now() - interval '400 days'");
    assert_eq!(count(), before - 1);
    // A retention of another length names its limit, for its own transaction.
    let since = |days: u32| {
        format!("SELECT set_config('keyward.audit_kept_since', (now() - interval '{days} days')::text, true)")
    };
    let delete = "DELETE FROM audit_log WHERE at < now() - interval '30 days'";
    refused(&format!("BEGIN; {}; {delete}; COMMIT", since(400)));
    app.sql(&format!("BEGIN; {}; {delete}; COMMIT", since(30)));
    assert_eq!(count(), before - 2);
    refused("DELETE FROM audit_log");
    // The records of an account outlive it.
    app.delete("/me").bearer(&ada.access_token).await.expect(204);
    assert_eq!(app.records_of("account.deleted"), 1);
    assert!(count() > before - 2);
}
