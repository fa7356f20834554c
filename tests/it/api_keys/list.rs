use serde_json::{Value, json};

use crate::support::{Person, TestApp};

async fn names(app: &TestApp, person: &Person, query: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app
            .get(&format!("/api-keys?{query}{cursor}"))
            .bearer(&person.access_token)
            .await
            .expect(200);
        for key in page["data"].as_array().unwrap() {
            found.push(key["name"].as_str().unwrap().to_owned());
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

async fn create_five_keys(app: &TestApp) -> Person {
    let ada = app.person("ada").await;
    for name in ["delta", "Alpha", "100%", "beta_1", "charlie"] {
        app.key(&ada, json!({"name": name})).await;
    }
    app.sql(
        "UPDATE api_keys SET created_at = '2026-01-01T00:00:00Z'::timestamptz + interval '1 hour' *
             array_position('{delta,Alpha,100%,beta_1,charlie}'::text[], name);
         UPDATE api_keys SET expires_at = '2099-01-02' WHERE name = 'delta';
         UPDATE api_keys SET expires_at = '2099-01-01' WHERE name = 'charlie';
         UPDATE api_keys SET last_used_at = '2026-01-01' WHERE name IN ('Alpha', 'beta_1', 'delta');",
    );
    ada
}

#[actix_web::test]
async fn every_order_returns_each_key_once_over_all_pages() {
    let app = TestApp::start();
    let ada = create_five_keys(&app).await;
    let bob = app.person("bob").await;
    app.key(&bob, json!({"name": "foreign"})).await;
    let newest = ["charlie", "beta_1", "100%", "Alpha", "delta"];
    let oldest: Vec<&str> = newest.iter().rev().copied().collect();
    for limit in [1, 2, 25] {
        assert_eq!(names(&app, &ada, &format!("limit={limit}")).await, newest);
        assert_eq!(
            names(&app, &ada, &format!("limit={limit}&sort=-created_at")).await,
            newest
        );
        assert_eq!(
            names(&app, &ada, &format!("limit={limit}&sort=created_at")).await,
            oldest
        );
        let by_name = names(&app, &ada, &format!("limit={limit}&sort=name")).await;
        assert_eq!(by_name, ["100%", "Alpha", "beta_1", "charlie", "delta"]);
        let by_expiry = names(&app, &ada, &format!("limit={limit}&sort=expires_at")).await;
        assert_eq!(by_expiry[..2], ["charlie", "delta"]);
        let mut by_use = names(&app, &ada, &format!("limit={limit}&sort=last_used_at")).await;
        assert_eq!(by_use.len(), 5);
        by_use[..3].sort();
        assert_eq!(by_use[..3], ["Alpha", "beta_1", "delta"]);
        let mut all = by_expiry;
        all.sort();
        assert_eq!(all, ["100%", "Alpha", "beta_1", "charlie", "delta"]);
    }
}

#[actix_web::test]
async fn sorting_by_last_use_includes_uses_not_yet_written() {
    let app = TestApp::start();
    let ada = create_five_keys(&app).await;
    let mut keys = Vec::new();
    for name in ["one", "two", "three"] {
        keys.push(app.key(&ada, json!({"name": name})).await);
    }
    for key in keys.iter().rev().chain(&keys[1..2]) {
        app.advance(chrono::TimeDelta::seconds(1));
        app.get("/auth/forward").bearer(&key.secret).await.expect(204);
    }
    let by_use = names(&app, &ada, "sort=last_used_at").await;
    assert_eq!(by_use[3..6], ["three", "one", "two"]);
}

#[actix_web::test]
async fn a_cursor_is_only_valid_for_its_order_and_filters() {
    let app = TestApp::start();
    let ada = create_five_keys(&app).await;
    let page = app
        .get("/api-keys?limit=2&sort=name")
        .bearer(&ada.access_token)
        .await
        .expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    for query in ["", "&sort=created_at", "&sort=name&q=a", "&sort=name&status=active"] {
        app.get(&format!("/api-keys?limit=2{query}&cursor={cursor}"))
            .bearer(&ada.access_token)
            .await
            .refused(400, "invalid_cursor");
    }
    let reply = app
        .get("/api-keys?limit=0&sort=color&order=x&status=dead")
        .bearer(&ada.access_token)
        .await;
    reply.invalid(&[
        ("limit", "out_of_range"),
        ("sort", "not_allowed"),
        ("order", "unknown_field"),
        ("status", "not_allowed"),
    ]);
}

#[actix_web::test]
async fn the_search_does_not_interpret_wildcards() {
    let app = TestApp::start();
    let ada = create_five_keys(&app).await;
    assert_eq!(names(&app, &ada, "q=ALPH").await, ["Alpha"]);
    assert_eq!(names(&app, &ada, "q=%25").await, ["100%"]);
    assert_eq!(names(&app, &ada, "q=_").await, ["beta_1"]);
    assert_eq!(names(&app, &ada, "q=%5C").await, Vec::<String>::new());
    assert_eq!(names(&app, &ada, "q=a_").await, ["beta_1"]);
    let first = app.get("/api-keys?q=delta").bearer(&ada.access_token).await.expect(200);
    let id = first["data"][0]["id"].as_str().unwrap();
    assert_eq!(names(&app, &ada, &format!("q={id}")).await, ["delta"]);
    assert_eq!(names(&app, &ada, &format!("q={}", id.to_uppercase())).await, ["delta"]);
}

#[actix_web::test]
async fn keys_are_filtered_by_status_and_organisation() {
    let app = TestApp::start();
    let ada = create_five_keys(&app).await;
    let org = app.org_of("acme", &[(&ada, "owner")]);
    app.key(&ada, json!({"name": "lost", "org_id": org.to_string()})).await;
    app.key(&ada, json!({"name": "org", "org_id": org.to_string()})).await;
    app.sql(
        "UPDATE api_keys SET membership_id = NULL WHERE name = 'lost';
         UPDATE api_keys SET expires_at = '2020-01-01' WHERE name IN ('delta', 'Alpha', 'lost');
         UPDATE api_keys SET disabled_at = now() WHERE name IN ('Alpha', '100%');",
    );
    assert_eq!(names(&app, &ada, "status=suspended").await, ["lost"]);
    assert_eq!(names(&app, &ada, "status=expired").await, ["delta"]);
    assert_eq!(names(&app, &ada, "status=disabled").await, ["100%", "Alpha"]);
    assert_eq!(names(&app, &ada, "status=active").await, ["org", "charlie", "beta_1"]);
    assert_eq!(names(&app, &ada, &format!("org_id={org}")).await, ["org", "lost"]);
    let foreign = app
        .get(&format!("/api-keys?org_id={}", uuid::Uuid::now_v7()))
        .bearer(&ada.access_token)
        .await;
    foreign.refused(404, "not_found");
    let page: Value = app.get("/api-keys?q=Alpha").bearer(&ada.access_token).await.expect(200);
    assert_eq!(page["data"][0]["status"], "disabled");
}
