use serde_json::json;

use crate::support::{Reply, ScopesFile, TestApp};

fn identity(reply: &Reply) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = reply
        .headers
        .iter()
        .filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix("x-keyward-")?;
            Some((name.to_owned(), value.to_str().unwrap().to_owned()))
        })
        .collect();
    found.sort();
    found
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[actix_web::test]
async fn a_key_is_identified_with_any_method() {
    let file = ScopesFile::usual();
    let app = TestApp::start_with(&[("KEYWARD_SCOPES_FILE", file.path())]);
    let ada = app.person("ada").await;
    let org = app.org_of("acme", &[(&ada, "admin")]);
    let key = app
        .key(
            &ada,
            json!({"org_id": org.to_string(), "scopes": ["data:read", "data:erase"]}),
        )
        .await;
    let expected = pairs(&[
        ("credential", "api_key"),
        ("key-id", &key.id),
        ("org", &org.to_string()),
        ("org-role", "admin"),
        ("scopes", "data:read data:erase"),
        ("user", &ada.id.to_string()),
        ("username", "ada"),
    ]);
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        for (path, status) in [
            ("/auth/forward", 204),
            ("/auth/forward?scope=data:read%20data:erase", 204),
            // Envoy accepts only 200.
            ("/auth/forward/held/some/path?scope=none&other=1", 200),
            ("/auth/forward/held/?scope=none", 200),
        ] {
            let reply = app
                .request(method, path)
                .bearer(&key.secret)
                .header("idempotency-key", "the upstream's")
                .await;
            assert_eq!(
                (reply.status, identity(&reply)),
                (status, expected.clone()),
                "{method} {path}"
            );
        }
    }
    let in_org = app.get(&format!("/auth/forward?org={org}")).bearer(&key.secret).await;
    in_org.expect(204);
    for other_org in [uuid::Uuid::now_v7().to_string(), "nonsense".to_owned()] {
        app.get(&format!("/auth/forward?org={other_org}"))
            .bearer(&key.secret)
            .await
            .refused(403, "forbidden_role");
    }
}

#[actix_web::test]
async fn a_session_is_identified_and_scopes_are_checked_by_its_role() {
    let file = ScopesFile::usual();
    let app = TestApp::start_with(&[("KEYWARD_SCOPES_FILE", file.path())]);
    let ada = app.person("ada").await;
    let reply = app.get("/auth/forward").bearer(&ada.access_token).await;
    assert_eq!(
        identity(&reply),
        pairs(&[
            ("credential", "session"),
            ("user", &ada.id.to_string()),
            ("username", "ada")
        ])
    );
    let org = app.org_of("acme", &[(&ada, "member")]);
    let in_org = app.switch(&org.to_string(), &ada).await;
    for (token, scope, passes) in [
        (&ada.access_token, "data:read", true),
        (&ada.access_token, "data:write", false),
        (&in_org, "data:write", true),
        (&in_org, "data:write data:read", true),
        (&in_org, "data:erase", false),
        (&in_org, "no:such", false),
        (&in_org, "keys:verify", false),
    ] {
        let reply = app.get(&format!("/auth/forward?scope={scope}")).bearer(token).await;
        if passes {
            reply.expect(204);
        } else {
            reply.refused(403, "insufficient_scope");
            let challenge = reply.header("www-authenticate").unwrap();
            assert!(challenge.contains(&format!("scope=\"{scope}\"")), "{challenge}");
            assert!(identity(&reply).is_empty());
        }
    }
}

#[actix_web::test]
async fn a_denied_request_gets_the_challenge() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({"scopes": ["me:read"]})).await;
    app.get("/auth/forward").await.refused(401, "authentication_required");
    app.get("/auth/forward").bearer("x").await.refused(401, "invalid_token");
    let reply = app
        .get("/auth/forward?scope=me:read%20me:write%20orgs:read")
        .bearer(&key.secret)
        .await;
    reply.refused(403, "insufficient_scope");
    let challenge = reply.header("www-authenticate").unwrap();
    assert!(challenge.contains("scope=\"me:write orgs:read\""), "{challenge}");
    assert!(challenge.contains("resource_metadata="));
    app.get("/auth/forward?scope=a%22,b=%22c")
        .bearer(&key.secret)
        .await
        .invalid(&[("scope", "invalid_format")]);
    // A slash at the end changes nothing.
    for path in ["/auth/forward/?scope=me:write", "/auth/forward?scope=me:write"] {
        app.get(path)
            .bearer(&key.secret)
            .await
            .refused(403, "insufficient_scope");
    }
    app.get("/auth/forward/?role=x")
        .bearer(&key.secret)
        .await
        .invalid(&[("role", "unknown_field")]);
    for path in ["x", "x/y", "other/held", "heldx", "held2/x"] {
        app.get(&format!("/auth/forward/{path}?scope=me:write"))
            .bearer(&key.secret)
            .await
            .refused(404, "not_found");
    }
    app.get("/auth/forward?role=x")
        .bearer(&key.secret)
        .await
        .invalid(&[("role", "unknown_field")]);
    app.delete(&key.path()).bearer(&ada.access_token).await.expect(204);
    app.get("/auth/forward")
        .bearer(&key.secret)
        .await
        .refused(401, "invalid_token");
}

#[actix_web::test]
async fn with_a_base_path_idempotency_keys_of_clients_are_ignored_too() {
    let app = TestApp::start_with(&[
        ("KEYWARD_BASE_PATH", "/account"),
        ("KEYWARD_PUBLIC_URL", "http://keyward.test/account"),
    ]);
    app.request("POST", "/account/auth/forward")
        .await
        .refused(401, "authentication_required");
}

#[actix_web::test]
async fn below_held_the_requirements_are_headers_that_a_client_can_only_tighten() {
    let app = TestApp::start_with(&[("KEYWARD_SCOPES_FILE", ScopesFile::usual().path())]);
    let ada = app.person("ada").await;
    let org = app.org_of("acme", &[(&ada, "admin")]);
    let key = app
        .key(&ada, json!({"org_id": org.to_string(), "scopes": ["data:read"]}))
        .await;
    let ask = |headers: &[(&str, &str)]| {
        let call = app
            .get("/auth/forward/held/a/path?scope=data:erase")
            .bearer(&key.secret);
        headers
            .iter()
            .fold(call, |call, (name, value)| call.header(name, value))
            .send()
    };
    let (scope, org_header) = ("x-keyward-require-scope", "x-keyward-require-org");
    let org = org.to_string();
    let elsewhere = "019a0000-0000-7000-8000-000000000000";
    ask(&[(scope, "data:read"), (org_header, &org)]).await.expect(200);
    ask(&[(scope, "data:erase")]).await.refused(403, "insufficient_scope");
    ask(&[(org_header, elsewhere)]).await.refused(403, "forbidden_role");
    // The client adds values of its own, before or after those of the gateway.
    ask(&[(scope, ""), (scope, "data:erase")])
        .await
        .refused(403, "insufficient_scope");
    ask(&[(scope, "data:erase"), (scope, "data:read")])
        .await
        .refused(403, "insufficient_scope");
    ask(&[(org_header, &org), (org_header, elsewhere)])
        .await
        .refused(403, "forbidden_role");
    ask(&[(scope, "\"")]).await.refused(400, "malformed_request");
}
