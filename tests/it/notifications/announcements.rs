use diesel::connection::SimpleConnection as _;
use diesel::{QueryableByName, RunQueryDsl as _};
use keyward::values::ids::OrgId;
use serde_json::{Value, json};

use crate::support::{Person, TestApp};

async fn titles(app: &TestApp, person: &Person) -> Vec<Value> {
    let page = app
        .get("/notifications?type=announcement")
        .bearer(&person.access_token)
        .await
        .expect(200);
    let all = page["data"].as_array().unwrap();
    all.iter().map(|one| one["title"].clone()).collect()
}

#[actix_web::test]
async fn an_announcement_reaches_every_verified_user_and_is_mailed_unless_opted_out() {
    let app = TestApp::start();
    let (root, ada, bob) = (
        app.admin("grace").await,
        app.person("ada").await,
        app.person("bob").await,
    );
    app.connect()
        .batch_execute(
            "INSERT INTO users (id, email, created_at, updated_at) VALUES (gen_random_uuid(), 'new@example.com', now(), now()); \
             INSERT INTO users (id, email, email_verified_at, disabled_at, created_at, updated_at) \
                 VALUES (gen_random_uuid(), 'off@example.com', now(), now(), now(), now())",
        )
        .unwrap();
    app.put("/notifications/preferences", &json!({"mail": {"announcement": false}}))
        .bearer(&bob.access_token)
        .await
        .expect(200);
    let body = json!({"title": "Away on <Sunday> {{ 7*7 }}", "body": "From 02:00\nto 02:30."});
    let made = app
        .post("/admin/announcements", &body)
        .bearer(&root.access_token)
        .await
        .expect(201);
    assert_eq!(made["recipients"], 3);
    assert_eq!(
        (&made["title"], &made["body"], &made["org_id"]),
        (&body["title"], &body["body"], &Value::Null)
    );
    for person in [&root, &ada, &bob] {
        assert_eq!(titles(&app, person).await, [body["title"].clone()]);
    }
    let mails = app.mails().await;
    let mut to: Vec<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    to.sort_unstable();
    assert_eq!(to, ["ada@example.com", "grace@example.com"]);
    assert_eq!(mails[0].subject, "Away on <Sunday> {{ 7*7 }}");
    assert!(mails[0].html.contains("&lt;Sunday&gt;") && !mails[0].html.contains("<Sunday>"));
    let log = app
        .get("/admin/audit-log?action=announcement.sent")
        .bearer(&root.access_token)
        .await
        .expect(200);
    assert_eq!(log["data"].as_array().unwrap().len(), 1);
    assert_eq!(log["data"][0]["details"]["recipients"], 3);
}

#[actix_web::test]
async fn an_announcement_to_an_organisation_reaches_only_its_members() {
    let app = TestApp::start();
    let (root, ada, bob) = (
        app.admin("grace").await,
        app.person("ada").await,
        app.person("bob").await,
    );
    let org = OrgId::new(app.state.clock.now());
    app.connect()
        .batch_execute(&format!(
            "INSERT INTO orgs (id, name, slug, join_policy, created_at, updated_at) \
                 VALUES ('{org}', 'Acme', 'acme', 'request', now(), now()); \
             INSERT INTO memberships (id, org_id, user_id, role, joined_at) \
                 VALUES (gen_random_uuid(), '{org}', '{}', 'owner', now())",
            ada.id
        ))
        .unwrap();
    let body = json!({"title": "Hello", "body": "Members", "org_id": org.to_string()});
    let made = app
        .post("/admin/announcements", &body)
        .bearer(&root.access_token)
        .await
        .expect(201);
    assert_eq!(
        (&made["recipients"], &made["org_id"]),
        (&json!(1), &json!(org.to_string()))
    );
    assert_eq!(titles(&app, &ada).await, ["Hello"]);
    assert!(titles(&app, &bob).await.is_empty());
    let log = app
        .get(&format!("/orgs/{org}/audit-log"))
        .bearer(&ada.access_token)
        .await
        .expect(200);
    assert_eq!(log["data"][0]["action"], "announcement.sent");
}

#[actix_web::test]
async fn an_invalid_announcement_notifies_no_user() {
    let app = TestApp::start();
    let (root, ada) = (app.admin("grace").await, app.person("ada").await);
    let post = |body: Value| app.post("/admin/announcements", &body).bearer(&root.access_token);
    post(json!({"title": "a\nb", "body": " ", "to": "all"}))
        .await
        .invalid(&[
            ("#/title", "invalid_format"),
            ("#/body", "invalid_format"),
            ("#/to", "unknown_field"),
        ]);
    post(json!({"title": "a".repeat(151), "body": "b".repeat(5001)}))
        .await
        .invalid(&[("#/title", "too_long"), ("#/body", "too_long")]);
    for org_id in ["nonsense".to_owned(), OrgId::new(app.state.clock.now()).to_string()] {
        post(json!({"title": "a", "body": "b", "org_id": org_id}))
            .await
            .refused(404, "not_found");
    }
    let by_ada = app.post("/admin/announcements", &json!({"title": "a", "body": "b"}));
    by_ada.bearer(&ada.access_token).await.refused(403, "forbidden_role");
    assert!(titles(&app, &ada).await.is_empty());
    assert!(app.mails().await.is_empty());
}

#[actix_web::test]
async fn an_announcement_repeated_with_its_idempotency_key_is_sent_once() {
    let app = TestApp::start();
    let (root, ada) = (app.admin("grace").await, app.person("ada").await);
    for replayed in [None, Some("true")] {
        let reply = app
            .post("/admin/announcements", &json!({"title": "Hello", "body": "World"}))
            .bearer(&root.access_token)
            .header("idempotency-key", "one")
            .await;
        assert_eq!(reply.header("idempotency-replayed"), replayed);
        reply.expect(201);
    }
    assert_eq!(titles(&app, &ada).await, ["Hello"]);
}

#[actix_web::test]
async fn at_most_twenty_mails_of_an_announcement_become_due_in_a_second() {
    #[derive(QueryableByName)]
    struct Due {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        seconds: i64,
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        mails: i64,
    }
    let app = TestApp::start();
    let grace = app.admin("grace").await;
    app.connect()
        .batch_execute(
            "INSERT INTO users (id, email, email_verified_at, created_at, updated_at) \
             SELECT gen_random_uuid(), 'p' || n || '@example.com', now(), now(), now() FROM generate_series(1, 44) n",
        )
        .unwrap();
    app.post("/admin/announcements", &json!({"title": "Hello", "body": "World"}))
        .bearer(&grace.access_token)
        .await
        .expect(201);
    let due: Vec<Due> = diesel::sql_query(
        "SELECT extract(epoch FROM next_attempt_at - created_at)::bigint AS seconds, count(*) AS mails \
         FROM mail_outbox GROUP BY 1 ORDER BY 1",
    )
    .load(&mut app.connect())
    .unwrap();
    let due: Vec<(i64, i64)> = due.iter().map(|due| (due.seconds, due.mails)).collect();
    assert_eq!(due, [(0, 20), (1, 20), (2, 5)]);
}
