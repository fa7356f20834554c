//! Limits of what one person can cause, and of what one response contains.

use chrono::TimeDelta;
use diesel::RunQueryDsl as _;
use serde_json::json;

use crate::support::{PASSWORD, Person, Reply, TestApp};

/// The status of a change of the caller's profile.
async fn write(app: &TestApp, token: &str) -> Reply {
    app.patch("/me", &json!({"nickname": "Ada"})).bearer(token).await
}

#[actix_web::test]
async fn changes_are_limited_by_person_and_nothing_else_is() {
    let app = TestApp::start_with(&[("KEYWARD_WRITE_LIMIT", "4")]);
    let [ada, bob] = app.people(["ada", "bob"]).await;
    let second = app.log_in("ada", PASSWORD).await;
    let second = second["access_token"].as_str().unwrap();
    // One write; its key shares the limit of its owner.
    let key = app.key(&ada, json!({"scopes": ["me:write", "me:read"]})).await;
    let reply = write(&app, &ada.access_token).await;
    assert_eq!(reply.header("ratelimit-policy"), Some("\"writes\";q=4;w=300"));
    assert!(reply.header("ratelimit").unwrap().starts_with("\"writes\";r=2;t="));
    write(&app, &key.secret).await.expect_status(200);
    write(&app, second).await.expect_status(200);
    for token in [&ada.access_token, &key.secret, second] {
        let refused = app.patch("/me", &json!({"nickname": "Eve"})).bearer(token).await;
        refused.refused(429, "rate_limited");
        assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() <= 300);
        assert!(refused.header("ratelimit").unwrap().starts_with("\"writes\";r=0;t="));
    }
    // A malformed or forbidden request counts, an unauthenticated one or one of another person doesn't.
    write(&app, "kw_x").await.refused(401, "invalid_token");
    write(&app, &bob.access_token).await.expect_status(200);
    let me = app.get("/me").bearer(&ada.access_token).await.expect(200);
    assert_eq!(me["nickname"], "Ada");
    app.request("POST", "/auth/forward")
        .bearer(&ada.access_token)
        .await
        .expect_status(204);
    // Ending sessions works, whoever has used the limit up.
    let path = format!("/auth/sessions/{}", ada.session_id);
    app.delete(&path).bearer(second).await.expect(204);
    app.delete("/auth/sessions").bearer(second).await.expect(204);
    app.advance(TimeDelta::minutes(5));
    write(&app, second).await.expect_status(200);
    app.request("POST", "/auth/logout").bearer(second).await.expect(204);
}

#[actix_web::test]
async fn every_authenticated_response_says_what_is_left() {
    let app = TestApp::start();
    let admin = app.admin("ada").await;
    let key = app
        .key(&admin, json!({"scopes": ["keys:verify", "tokens:introspect"]}))
        .await;
    let session = |method, path| app.request(method, path).bearer(&admin.access_token).send();
    let verify = app
        .post("/api-keys/verify", &json!({"key": key.secret}))
        .bearer(&key.secret);
    let introspect = app.request("POST", "/auth/introspect").bearer(&key.secret);
    let introspect = introspect.body("application/x-www-form-urlencoded", "token=x");
    let replies = [
        (200, session("GET", "/me").await),
        (200, session("GET", "/orgs").await),
        (404, session("GET", "/api-keys/x").await),
        (405, session("PUT", "/api-keys").await),
        (422, session("GET", "/orgs?limit=0").await),
        (415, session("POST", "/orgs").await),
        (403, app.get("/me").bearer(&key.secret).await),
        (204, session("GET", "/auth/forward").await),
        (200, session("GET", "/me/export").await),
        (200, verify.await),
        (200, introspect.await),
    ];
    for (status, reply) in &replies {
        reply.expect_status(*status);
        assert_eq!(
            reply.header("ratelimit-policy"),
            Some("\"writes\";q=600;w=300"),
            "{}",
            reply.text()
        );
        assert!(
            reply.header("ratelimit").unwrap().starts_with("\"writes\";r=59"),
            "{}",
            reply.text()
        );
    }
    for reply in [
        app.get("/livez").await,
        app.get("/me").await,
        app.get("/me").bearer("x").await,
    ] {
        assert_eq!(reply.header("ratelimit"), None);
    }
    let unlimited = app.another_with(&[("KEYWARD_RATE_LIMITS", "off"), ("KEYWARD_WRITE_LIMIT", "1")]);
    for _ in 0..3 {
        let reply = write(&unlimited, &admin.access_token).await;
        reply.expect_status(200);
        assert_eq!(reply.header("ratelimit"), None);
    }
}

#[actix_web::test]
async fn a_request_with_many_errors_gets_a_short_response() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let short = |reply: &Reply| {
        reply.refused(422, "validation_error");
        assert_eq!(reply.json()["errors"].as_array().unwrap().len(), 50);
        assert!(reply.bytes.len() < 16 * 1024, "{}", reply.bytes.len());
        reply.json()["detail"].as_str().unwrap().to_owned()
    };
    let items = app.post("/api-keys/delete", &json!({"ids": vec![1; 30_000]}));
    let items = items.bearer(&ada.access_token).await;
    assert_eq!(short(&items), "30000 fields are not valid; the first 50 are listed.");
    let fields: serde_json::Map<_, _> = (0..200)
        .map(|n| (format!("{n}{}", "x".repeat(300)), json!(1)))
        .collect();
    let fields = app.post("/orgs", &fields.into()).bearer(&ada.access_token).await;
    short(&fields);
    let query: Vec<String> = (0..500).map(|n| format!("{n}=1")).collect();
    let query = app.get(&format!("/orgs?{}", query.join("&"))).bearer(&ada.access_token);
    short(&query.await);
    let long = app.post("/api-keys/delete", &json!({"ids": ["x".repeat(60_000)]}));
    let long = long.bearer(&ada.access_token).await;
    long.invalid(&[("#/ids/0", "too_long")]);
    assert!(long.bytes.len() < 1024);
}

/// Inserts stored responses of a person, with bodies of random text that does not compress.
fn insert_responses(app: &TestApp, person: &Person, count: u32, body_kib: u32) {
    let insert = format!(
        "INSERT INTO idempotency_keys (user_id, key, request_mac, status, headers, body, created_at) \
         SELECT '{}', n::text, sha256(n::text::bytea), 204, '[]', \
             to_json((SELECT string_agg(md5(random()::text || part), '') FROM generate_series(1, {body_kib} * 32) AS part)), now() \
         FROM generate_series(1, {count}) AS n",
        person.id
    );
    diesel::sql_query(insert).execute(&mut app.connect()).unwrap();
}

#[actix_web::test]
async fn stored_responses_are_limited_in_number_and_size() {
    let app = TestApp::start();
    let [ada, bob, eve] = app.people(["ada", "bob", "eve"]).await;
    insert_responses(&app, &ada, 999, 0);
    insert_responses(&app, &bob, 5, 1024);
    let create = |person: &Person, key: &str| {
        let call = app
            .post("/orgs", &json!({"name": "Engines"}))
            .bearer(&person.access_token);
        call.header("idempotency-key", key).send()
    };
    create(&ada, "last").await.expect_status(201);
    for person in [&ada, &bob] {
        let refused = create(person, "too-many").await;
        refused.refused(429, "rate_limited");
        assert_eq!(
            refused.header("ratelimit-policy"),
            Some("\"idempotency-keys\";q=1000;w=86400")
        );
        assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 86_000);
    }
    assert_eq!(app.number("SELECT count(*) FROM orgs"), 1);
    // What is stored is still replayed, requests without a key and those of others succeed.
    assert_eq!(create(&ada, "last").await.header("idempotency-replayed"), Some("true"));
    app.org(&ada, "Other").await;
    create(&eve, "first").await.expect_status(201);
    app.advance(TimeDelta::hours(24));
    let tokens = app.log_in("ada", PASSWORD).await;
    let again = app.post("/orgs", &json!({"name": "Engines"}));
    let again = again.bearer(tokens["access_token"].as_str().unwrap());
    again.header("idempotency-key", "too-many").await.expect_status(201);
}

#[actix_web::test]
async fn a_person_owns_a_hundred_organisations() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let mut last = String::new();
    for n in 0..100 {
        last = app.org(&ada, &format!("Org {n}")).await;
    }
    let create = || {
        app.post("/orgs", &json!({"name": "One more"}))
            .bearer(&ada.access_token)
    };
    create().await.refused(409, "limit_reached");
    assert_eq!(app.number("SELECT count(*) FROM orgs"), 100);
    app.delete(&format!("/orgs/{last}"))
        .bearer(&ada.access_token)
        .await
        .expect(204);
    let replies = futures_util::future::join_all((0..5).map(|_| create().send())).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
}

#[actix_web::test]
async fn a_person_has_a_hundred_pending_requests_to_join() {
    let app = TestApp::start();
    let [ada, bob, eve] = app.people(["ada", "bob", "eve"]).await;
    let mut orgs = Vec::new();
    for n in 0..101 {
        let body = json!({"name": format!("Org {n}"), "join_policy": "request"});
        let owner = if n % 2 == 0 { &ada } else { &eve };
        orgs.push(app.org_with(owner, &body).await["id"].as_str().unwrap().to_owned());
    }
    let (last, others) = orgs.split_last().unwrap();
    let mut first = String::new();
    for org in others {
        first = app.request_to_join(org, &bob).await;
    }
    let path = format!("/orgs/{last}/join-requests");
    let request = || app.request("POST", &path).bearer(&bob.access_token);
    request().await.refused(409, "limit_reached");
    assert_eq!(app.number("SELECT count(*) FROM join_requests"), 100);
    let withdraw = format!("/orgs/{}/join-requests/{first}", others.last().unwrap());
    app.delete(&withdraw).bearer(&bob.access_token).await.expect(204);
    request().await.expect(201);
}

#[actix_web::test]
async fn an_organisation_has_five_hundred_pending_invitations() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let org = app.org(&ada, "Engines").await;
    let insert = format!(
        "INSERT INTO invitations (id, org_id, email, role, created_at, expires_at) \
         SELECT gen_random_uuid(), '{org}', 'guest' || n || '@example.com', 'member', now(), now() + interval '1 day' \
         FROM generate_series(1, 500) AS n"
    );
    diesel::sql_query(insert).execute(&mut app.connect()).unwrap();
    let invite = |email: &str| {
        let body = json!({"email": email, "role": "member"});
        app.post(&format!("/orgs/{org}/invitations"), &body)
            .bearer(&ada.access_token)
            .send()
    };
    invite("one.more@example.com").await.refused(409, "limit_reached");
    invite("guest1@example.com").await.refused(409, "already_invited");
    assert!(app.mails().await.is_empty());
    app.advance(TimeDelta::days(1));
    let tokens = app.log_in("ada", PASSWORD).await;
    let body = json!({"email": "one.more@example.com", "role": "member"});
    let later = app.post(&format!("/orgs/{org}/invitations"), &body);
    later.bearer(tokens["access_token"].as_str().unwrap()).await.expect(201);
}
