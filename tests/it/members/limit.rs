//! How many members an organisation can have.

use serde_json::json;

use crate::support::TestApp;

#[actix_web::test]
async fn an_organisation_has_at_most_ten_thousand_members() {
    let app = TestApp::start();
    let [ada, bob, eve] = app.people(["ada", "bob", "eve"]).await;
    let body = json!({"name": "Acme", "join_policy": "request"});
    let org = app.org_with(&ada, &body).await["id"].as_str().unwrap().to_owned();
    let invitation = app.invite(&org, &ada, "bob@example.com", "member").await;
    let request = app.request_to_join(&org, &eve).await;
    // All but ada and one other.
    app.sql(&format!(
        "WITH people AS (INSERT INTO users (id, email, email_verified_at, created_at, updated_at) \
         SELECT gen_random_uuid(), 'n' || n || '@example.net', now(), now(), now() FROM generate_series(1, 9999) n \
         RETURNING id) INSERT INTO memberships (id, org_id, user_id, role, joined_at) \
         SELECT gen_random_uuid(), '{org}', id, 'member', now() FROM people"
    ));
    let accept = || {
        app.request("POST", &format!("/invitations/{invitation}/accept"))
            .bearer(&bob.access_token)
    };
    let approve = || {
        app.post(&format!("/orgs/{org}/join-requests/{request}/approve"), &json!({}))
            .bearer(&ada.access_token)
    };
    accept().await.refused(409, "limit_reached");
    approve().await.refused(409, "limit_reached");
    let members = format!("SELECT count(*) FROM memberships WHERE org_id = '{org}'");
    assert_eq!(app.number(&members), 10_000);
    assert_eq!(
        app.number("SELECT count(*) FROM invitations WHERE accepted_at IS NULL"),
        1
    );
    // Both stay pending, and one of them can join once a member has left.
    app.sql("DELETE FROM memberships WHERE id = (SELECT id FROM memberships WHERE role = 'member' LIMIT 1)");
    accept().await.expect(200);
    approve().await.refused(409, "limit_reached");
    assert_eq!(app.number(&members), 10_000);
}
