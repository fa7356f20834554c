use serde_json::{Value, json};

use crate::support::{Key, TestApp};

#[actix_web::test]
async fn owners_and_admins_list_and_revoke_the_keys_of_their_organisation() {
    let app = TestApp::start();
    let (ada, bob, cat, eve) = (
        app.person("ada").await,
        app.person("bob").await,
        app.person("cat").await,
        app.person("eve").await,
    );
    let org = app.org_of("acme", &[(&ada, "owner"), (&bob, "admin"), (&cat, "member")]);
    let other = app.org_of("other", &[(&eve, "owner")]);
    let key = app.key(&cat, json!({"org_id": org.to_string(), "name": "cats"})).await;
    let personal = app.key(&cat, json!({})).await;
    let foreign = app.key(&eve, json!({"org_id": other.to_string()})).await;
    let list = format!("/orgs/{org}/api-keys");
    let of_member = format!("/orgs/{org}/members/{}/api-keys", cat.id);
    for (person, status, code) in [(&eve, 404, "not_found"), (&cat, 403, "forbidden_role")] {
        for (method, path) in [
            ("GET", list.clone()),
            ("GET", of_member.clone()),
            ("DELETE", format!("{list}/{}", key.id)),
        ] {
            app.request(method, &path)
                .bearer(&person.access_token)
                .await
                .refused(status, code);
        }
    }
    for person in [&ada, &bob] {
        for path in [&list, &of_member] {
            let page = app.get(path).bearer(&person.access_token).await.expect(200);
            assert_eq!(page["data"].as_array().unwrap().len(), 1);
            assert_eq!(page["data"][0]["id"], key.id.as_str());
            assert_eq!(page["data"][0]["owner"]["username"], "cat");
        }
    }
    app.get(&format!("/orgs/{org}/members/{}/api-keys", eve.id))
        .bearer(&ada.access_token)
        .await
        .refused(404, "not_found");
    for id in [&personal.id, &foreign.id] {
        app.delete(&format!("{list}/{id}"))
            .bearer(&ada.access_token)
            .await
            .refused(404, "not_found");
    }
    app.delete(&format!("{list}/{}", key.id))
        .bearer(&bob.access_token)
        .await
        .expect(204);
    app.get("/api-keys/current")
        .bearer(&key.secret)
        .await
        .refused(401, "invalid_token");
    app.get("/api-keys/current").bearer(&personal.secret).await.expect(200);
    let mail = app.last_mail_to("cat@example.com").await;
    assert!(mail.text.contains("cats") && mail.text.contains("bob"), "{}", mail.text);
    let recorded = format!(
        "SELECT count(*) FROM audit_log WHERE action = 'api_key.revoked' AND org_id = '{org}' AND user_id = '{}' \
         AND actor_id = '{}'",
        cat.id, bob.id
    );
    assert_eq!(app.number(&recorded), 1);
}

#[actix_web::test]
async fn a_key_in_an_organisation_sees_only_the_keys_there() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let (acme, other) = (
        app.org_of("acme", &[(&ada, "owner")]),
        app.org_of("other", &[(&ada, "owner")]),
    );
    let scopes = json!(["keys:read"]);
    let in_acme = app
        .key(&ada, json!({"org_id": acme.to_string(), "scopes": scopes}))
        .await;
    let in_other = app.key(&ada, json!({"org_id": other.to_string()})).await;
    let personal = app.key(&ada, json!({"scopes": scopes})).await;
    let get = |path: &str, key: &Key| app.get(path).bearer(&key.secret).send();
    let ids = |page: Value| -> Vec<String> {
        let keys = page["data"].as_array().unwrap();
        keys.iter().map(|key| key["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        ids(get("/api-keys", &in_acme).await.expect(200)),
        std::slice::from_ref(&in_acme.id)
    );
    assert_eq!(ids(get("/api-keys", &personal).await.expect(200)).len(), 3);
    let list_of = |org: &dyn std::fmt::Display| format!("/api-keys?org_id={org}");
    assert_eq!(
        ids(get(&list_of(&acme), &in_acme).await.expect(200)),
        std::slice::from_ref(&in_acme.id)
    );
    get(&list_of(&other), &in_acme).await.refused(404, "not_found");
    for key in [&in_other, &personal] {
        get(&key.path(), &in_acme).await.refused(404, "not_found");
        get(&format!("{}/usage", key.path()), &in_acme)
            .await
            .refused(404, "not_found");
        get(&key.path(), &personal).await.expect(200);
    }
    get(&in_acme.path(), &in_acme).await.expect(200);
}

#[actix_web::test]
async fn the_keys_of_a_deleted_organisation_are_rejected() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let org = app.org_of("acme", &[(&ada, "owner")]);
    let key = app.key(&ada, json!({"org_id": org.to_string()})).await;
    app.sql(&format!("DELETE FROM orgs WHERE id = '{org}'"));
    app.get("/api-keys/current")
        .bearer(&key.secret)
        .await
        .refused(401, "invalid_token");
}
