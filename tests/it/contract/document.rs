//! The OpenAPI document, and that the service does what it says.

use std::collections::BTreeSet;

use keyward::app;
use serde_json::{Value, json};

use crate::support::{TestApp, config_with};

fn document() -> Value {
    let config = keyward::config::Config::from_environment([]).unwrap();
    serde_json::from_str(&app::document(&config).to_json().unwrap()).unwrap()
}

/// Method, path and operation of everything in the document.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if ["get", "put", "post", "delete", "patch"].contains(&method.as_str()) {
                all.push((method.to_uppercase(), path.clone(), operation.clone()));
            }
        }
    }
    all
}

/// A path with its parameters filled in by ids of nothing.
fn filled(path: &str) -> String {
    let mut filled = String::new();
    for segment in path.split('/').skip(1) {
        filled.push('/');
        filled.push_str(if segment.starts_with('{') {
            "0198a3c0-0000-7000-8000-000000000000"
        } else {
            segment
        });
    }
    filled
}

fn needs_credential(operation: &Value) -> bool {
    operation["security"]
        .as_array()
        .is_some_and(|schemes| !schemes.iter().any(|scheme| scheme == &json!({})))
}

#[test]
fn the_document_in_the_repository_is_current() {
    let config = keyward::config::Config::from_environment([]).unwrap();
    let current = app::document(&config).to_pretty_json().unwrap();
    let kept = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.json"));
    assert!(
        kept.trim_end() == current,
        "run: cargo run -- openapi > openapi/openapi.json"
    );
}

#[test]
fn every_operation_has_a_name_a_summary_a_tag_and_its_parameters() {
    let document = document();
    let mut names = BTreeSet::new();
    let tags: Vec<&Value> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| &tag["name"])
        .collect();
    for (method, path, operation) in operations(&document) {
        let what = format!("{method} {path}");
        let name = operation["operationId"]
            .as_str()
            .unwrap_or_else(|| panic!("{what} has no operationId"));
        assert!(
            name.chars().all(|c| c.is_ascii_alphanumeric()) && name.starts_with(|c: char| c.is_lowercase()),
            "{what}"
        );
        assert!(names.insert(name.to_owned()), "{name} is there twice");
        assert!(
            operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()),
            "{what} has no summary"
        );
        assert!(
            tags.contains(&&operation["tags"][0]),
            "{what} has a tag of its own: {}",
            operation["tags"]
        );
        let documented: BTreeSet<&str> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let named: BTreeSet<&str> = path.split(['{', '}']).skip(1).step_by(2).collect();
        assert_eq!(documented, named, "{what}");
    }
}

#[test]
fn every_reference_resolves_and_every_member_of_an_answer_is_required() {
    let document = document();
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"").skip(1) {
        let reference = reference.split('"').next().unwrap();
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        if name.ends_with("Request") || name.starts_with("Problem") {
            continue;
        }
        for member in schema["properties"]
            .as_object()
            .into_iter()
            .flat_map(|members| members.keys())
        {
            let required = schema["required"].as_array().unwrap();
            assert!(
                required.iter().any(|name| name == member),
                "{name}.{member} may be absent"
            );
        }
    }
}

#[actix_web::test]
async fn every_operation_refuses_who_has_no_credential_or_a_bad_one() {
    let app = TestApp::start();
    for (method, path, operation) in operations(&document()) {
        if !needs_credential(&operation) {
            continue;
        }
        let path = filled(&path);
        app.request(&method, &path)
            .await
            .refused(401, "authentication_required");
        app.request(&method, &path)
            .bearer("nonsense")
            .await
            .refused(401, "invalid_token");
        let twice = app
            .request(&method, &path)
            .header("authorization", "Bearer a")
            .header("authorization", "Bearer b");
        twice.await.refused(400, "malformed_request");
        let basic = app.request(&method, &path).header("authorization", "Basic YTpi").await;
        basic.refused(401, "authentication_required");
    }
}

#[actix_web::test]
async fn public_operations_ignore_a_bad_credential() {
    let app = TestApp::start();
    for (method, path, operation) in operations(&document()) {
        if operation["security"].is_null() {
            let path = filled(&path);
            let without = app.request(&method, &path).await;
            let with = app.request(&method, &path).bearer("nonsense").await;
            assert_eq!(without.status, with.status, "{method} {path}");
        }
    }
}

#[actix_web::test]
async fn every_operation_refuses_a_parameter_it_does_not_know() {
    let app = TestApp::start();
    let admin = app.admin("ada").await;
    for (method, path, _) in operations(&document()) {
        let reply = app
            .request(&method, &format!("{}?surprise=1", filled(&path)))
            .bearer(&admin.access_token)
            .await;
        // What comes before it in the order of checks may refuse first; nothing may let it pass.
        assert!(
            reply.status >= 400,
            "{method} {path} took an unknown parameter: {}",
            reply.status
        );
    }
    for path in [
        "/me",
        "/auth/sessions",
        "/password/policy",
        "/livez",
        "/capabilities",
        "/email",
    ] {
        let reply = app.get(&format!("{path}?surprise=1")).bearer(&admin.access_token).await;
        reply.invalid(&[("surprise", "unknown_field")]);
    }
}

#[actix_web::test]
async fn every_body_that_is_wanted_is_read_in_the_order_of_checks() {
    let app = TestApp::start();
    let admin = app.admin("ada").await;
    for (method, path, operation) in operations(&document()) {
        let Some(content) = operation["requestBody"]["content"].as_object() else {
            continue;
        };
        if !content.contains_key("application/json") || path.contains('{') {
            continue;
        }
        let call = || app.request(&method, &path).bearer(&admin.access_token);
        let what = format!("{method} {path}");
        let wrong = call().body("text/plain", "{}").await;
        if wrong.status == 403 {
            continue;
        }
        wrong.refused(415, "unsupported_media_type");
        call()
            .body("application/json; charset=utf-16", "{}")
            .await
            .refused(415, "unsupported_media_type");
        let zipped = call()
            .header("content-encoding", "gzip")
            .body("application/json", "{}")
            .await;
        zipped.refused(415, "unsupported_media_type");
        call()
            .body("application/json", vec![b' '; 64 * 1024 + 1])
            .await
            .refused(413, "payload_too_large");
        call()
            .body("application/json", "{\"a\": 1, \"a\": 2}")
            .await
            .refused(400, "malformed_json");
        call()
            .body("application/json", "{")
            .await
            .refused(400, "malformed_json");
        call()
            .body("application/json", "[]")
            .await
            .invalid(&[("#", "invalid_type")]);
        let unknown = call().body("application/json", "{\"surprise\": 1}").await;
        unknown.refused(422, "validation_error");
        let unknown = unknown.json()["errors"].to_string();
        assert!(
            unknown.contains("#/surprise") && unknown.contains("unknown_field"),
            "{what}: {unknown}"
        );
    }
}

#[actix_web::test]
async fn nul_is_refused_in_every_string() {
    let app = TestApp::start();
    let admin = app.admin("ada").await;
    let document = document();
    for (method, path, operation) in operations(&document) {
        let Some(reference) = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str() else {
            continue;
        };
        let schema = document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        for member in schema["properties"]
            .as_object()
            .into_iter()
            .flat_map(|members| members.keys())
        {
            let body = json!({ member.as_str(): "a\0b" });
            let reply = app
                .request(&method, &filled(&path))
                .bearer(&admin.access_token)
                .json(&body)
                .await;
            assert!(
                matches!(reply.status, 403 | 404 | 409 | 422),
                "{method} {path} {member}: {}",
                reply.text()
            );
        }
    }
    for path in [
        "/usernames/a%00b",
        "/auth/sessions/%00",
        "/avatars/a%00",
        "/problems/%00",
    ] {
        let reply = app.request(if path.contains("sessions") { "DELETE" } else { "GET" }, path);
        let reply = reply.bearer(&admin.access_token).await;
        assert!(
            reply.status == 404 || path.starts_with("/usernames"),
            "{path}: {}",
            reply.text()
        );
    }
}

#[actix_web::test]
async fn swagger_ui_and_its_document_come_from_the_service() {
    let app = TestApp::start();
    let page = app.get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("script-src 'self'")
    );
    assert!(
        !page.text().contains("https://"),
        "the page asks for nothing from elsewhere"
    );
    for file in [
        "swagger-initializer.js",
        "swagger-ui-bundle.js",
        "swagger-ui.css",
        "index.css",
    ] {
        assert_eq!(app.get(&format!("/docs/{file}")).await.status, 200, "{file}");
    }
    app.get("/docs/nonsense.js").await.refused(404, "not_found");
    let redirect = app.get("/docs").await;
    assert_eq!((redirect.status, redirect.header("location")), (308, Some("docs/")));
    let document = app.get("/openapi.json").await;
    let tag = document.header("etag").unwrap().to_owned();
    assert!(document.expect(200)["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(app.get("/openapi.json").header("if-none-match", &tag).await.status, 304);
}

#[actix_web::test]
async fn a_base_path_moves_everything_but_probes_and_well_known() {
    let app = TestApp::start_with(&[
        ("KEYWARD_BASE_PATH", "/account"),
        ("KEYWARD_PUBLIC_URL", "https://example.com/account"),
    ]);
    let ada = {
        let body = json!({"email": "ada@example.com", "password": crate::support::PASSWORD});
        app.post("/account/auth/register", &body).await.expect(202);
        app.post("/auth/register", &body).await.refused(404, "not_found");
        app.post(
            "/account/auth/login",
            &json!({"login": "ada@example.com", "password": crate::support::PASSWORD}),
        )
        .await
    };
    ada.refused(403, "email_unverified");
    assert!(
        ada.json()["type"]
            .as_str()
            .unwrap()
            .starts_with("https://example.com/account/problems/")
    );
    app.get("/account/me").await.refused(401, "authentication_required");
    app.get("/account/docs/").await.expect_status(200);
    app.get("/livez").await.expect(200);
    app.get("/readyz").await.expect(200);
    let metadata = app.get("/.well-known/oauth-protected-resource").await.expect(200);
    assert_eq!(metadata["resource"], "https://example.com/account");
    let challenge = app.get("/account/me").await;
    let named = "https://example.com/.well-known/oauth-protected-resource/account";
    assert!(challenge.header("www-authenticate").unwrap().contains(named));
    let there = app
        .get("/.well-known/oauth-protected-resource/account")
        .await
        .expect(200);
    assert_eq!(there, metadata);
    let posted = app
        .request("POST", "/.well-known/oauth-protected-resource/account")
        .await;
    posted.refused(405, "method_not_allowed");
    app.get("/.well-known/oauth-protected-resource/other")
        .await
        .refused(404, "not_found");
    app.request("DELETE", "/account/me/avatar/x")
        .await
        .refused(404, "not_found");
    assert_eq!(
        app.request("OPTIONS", "/account/email").await.header("allow"),
        Some("GET, HEAD, OPTIONS, POST")
    );
    let config = config_with(
        &[("KEYWARD_BASE_PATH".to_owned(), "/account".to_owned())],
        "https://example.com/account",
    );
    let document: Value = serde_json::from_str(&app::document(&config).to_json().unwrap()).unwrap();
    assert_eq!(document["servers"][0]["url"], "https://example.com/account");
}

#[test]
fn the_words_of_an_enum_are_those_of_the_api_not_of_the_code() {
    let document = document();
    let mut waiting = vec![&document];
    while let Some(value) = waiting.pop() {
        if let Some(words) = value.get("enum").and_then(Value::as_array) {
            for word in words.iter().filter_map(Value::as_str) {
                assert!(!word.starts_with(|c: char| c.is_ascii_uppercase()), "{words:?}");
            }
        }
        match value {
            Value::Object(members) => waiting.extend(members.values()),
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
}
