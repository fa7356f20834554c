//! The OpenAPI document, and that every operation behaves as documented.

use std::collections::BTreeSet;

use keyward::app;
use serde_json::{Value, json};

use crate::support::{Call, Fixture, Operation, TestApp, config_with, document, png};

#[test]
fn openapi_json_is_current() {
    let config = keyward::config::Config::from_environment([]).unwrap();
    let current = app::document(&config).to_pretty_json().unwrap();
    let committed = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.json"));
    assert!(
        committed.trim_end() == current,
        "run: cargo run -- openapi > openapi/openapi.json"
    );
}

#[test]
fn every_operation_documents_its_name_summary_tag_and_parameters() {
    let document = document();
    let mut names = BTreeSet::new();
    let tags: Vec<&Value> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| &tag["name"])
        .collect();
    for operation in Operation::all() {
        let (what, object) = (operation.to_string(), &operation.object);
        let name = operation.id;
        assert!(
            name.chars().all(|c| c.is_ascii_alphanumeric()) && name.starts_with(|c: char| c.is_lowercase()),
            "{what}"
        );
        assert!(names.insert(name.clone()), "{name} is used twice");
        assert!(
            object["summary"].as_str().is_some_and(|summary| !summary.is_empty()),
            "{what} has no summary"
        );
        assert!(
            tags.contains(&&object["tags"][0]),
            "{what} has an undeclared tag: {}",
            object["tags"]
        );
        let documented: BTreeSet<&str> = object["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let named: BTreeSet<&str> = operation.pattern.split(['{', '}']).skip(1).step_by(2).collect();
        assert_eq!(documented, named, "{what}");
    }
}

#[test]
fn every_reference_resolves_and_every_response_field_is_required() {
    let document = document();
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"").skip(1) {
        let reference = reference.split('"').next().unwrap();
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} does not resolve");
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
async fn every_operation_rejects_missing_and_invalid_credentials() {
    let app = TestApp::start();
    let fixture = Fixture::create(&app).await;
    for operation in Operation::all() {
        if !operation.needs_credential() {
            continue;
        }
        let call = || app.request(&operation.method, &fixture.path(&operation));
        call().await.refused(401, "authentication_required");
        call().bearer("nonsense").await.refused(401, "invalid_token");
        let two = call()
            .header("authorization", "Bearer a")
            .header("authorization", "Bearer b");
        two.await.refused(400, "malformed_request");
        let basic = call().header("authorization", "Basic YTpi");
        basic.await.refused(401, "authentication_required");
    }
}

#[actix_web::test]
async fn public_operations_ignore_an_invalid_credential() {
    let app = TestApp::start();
    let fixture = Fixture::create(&app).await;
    for operation in Operation::all() {
        if operation.object["security"].is_null() {
            let call = || app.request(&operation.method, &fixture.path(&operation));
            let (without, with) = (call().await, call().bearer("nonsense").await);
            assert_eq!(without.status, with.status, "{operation}");
        }
    }
}

/// Calls an operation with an empty body of the media type that it accepts.
fn call_with_empty_body(app: &TestApp, fixture: &Fixture, operation: &Operation, suffix: &str) -> Call {
    let call = fixture.call(app, operation, suffix);
    if operation.accepts("application/json") {
        call.json(&json!({}))
    } else if operation.accepts("application/x-www-form-urlencoded") {
        call.body("application/x-www-form-urlencoded", "")
    } else if operation.accepts("image/png") {
        call.body("image/png", png(1, 1))
    } else {
        call
    }
}

#[actix_web::test]
async fn every_operation_accepts_its_valid_call() {
    let app = TestApp::start();
    let shared = Fixture::create(&app).await;
    let mut failures = Vec::new();
    for (number, operation) in Operation::all().into_iter().enumerate() {
        // The stream of notifications does not end; its own tests read it.
        if operation.id == "streamNotifications" {
            continue;
        }
        let reply = if operation.method == "GET" {
            shared.valid_call(&app, &operation).await
        } else {
            let fixture = Fixture::create_with_suffix(&app, &number.to_string()).await;
            fixture.valid_call(&app, &operation).await
        };
        if !(200..300).contains(&reply.status) {
            failures.push(format!("{operation}: {}", reply.text()));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[actix_web::test]
async fn every_operation_rejects_an_unknown_parameter() {
    let app = TestApp::start();
    let fixture = Fixture::create(&app).await;
    for operation in Operation::all() {
        let reply = call_with_empty_body(&app, &fixture, &operation, "?surprise=1").await;
        assert_eq!(reply.status, 422, "{operation}: {}", reply.text());
        let errors = reply.json()["errors"].as_array().unwrap().clone();
        let is_expected = |error: &Value| error["parameter"] == "surprise" && error["code"] == "unknown_field";
        assert!(errors.iter().any(is_expected), "{operation}: {errors:?}");
    }
}

#[actix_web::test]
async fn every_body_is_checked_for_media_type_size_syntax_and_fields_in_this_order() {
    let app = TestApp::start();
    let fixture = Fixture::create(&app).await;
    for operation in Operation::all() {
        if !operation.accepts("application/json") {
            continue;
        }
        let call = || fixture.call(&app, &operation, "");
        let json_body = |body: &'static str| call().body("application/json", body).send();
        let text = call().body("text/plain", "{}");
        text.await.refused(415, "unsupported_media_type");
        let utf16 = call().body("application/json; charset=utf-16", "{}");
        utf16.await.refused(415, "unsupported_media_type");
        let gzip = call().header("content-encoding", "gzip").body("application/json", "{}");
        gzip.await.refused(415, "unsupported_media_type");
        let large = call().body("application/json", vec![b' '; 64 * 1024 + 1]);
        large.await.refused(413, "payload_too_large");
        json_body("{\"a\": 1, \"a\": 2}").await.refused(400, "malformed_json");
        json_body("{").await.refused(400, "malformed_json");
        json_body("[]").await.invalid(&[("#", "invalid_type")]);
        let unknown = json_body("{\"surprise\": 1}").await;
        unknown.refused(422, "validation_error");
        let errors = unknown.json()["errors"].to_string();
        assert!(
            errors.contains("#/surprise") && errors.contains("unknown_field"),
            "{operation}: {errors}"
        );
    }
}

#[actix_web::test]
async fn nul_is_rejected_in_every_field() {
    let app = TestApp::start();
    let fixture = Fixture::create(&app).await;
    let document = document();
    for operation in Operation::all() {
        let Some(reference) = operation.object["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str()
        else {
            continue;
        };
        let schema = document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        let fields = schema["properties"]
            .as_object()
            .into_iter()
            .flat_map(|fields| fields.keys());
        for field in fields {
            let call = fixture.call(&app, &operation, "");
            let reply = call.json(&json!({ field.as_str(): "a\0b" })).await;
            assert_eq!(reply.status, 422, "{operation} {field}: {}", reply.text());
            let pointer = format!("#/{field}");
            let errors = reply.json()["errors"].as_array().unwrap().clone();
            let is_expected = |error: &Value| error["pointer"] == *pointer && error["code"] == "invalid_format";
            assert!(errors.iter().any(is_expected), "{operation} {field}: {errors:?}");
        }
    }
    for (method, path) in [
        ("GET", "/usernames/a%00b"),
        ("DELETE", "/auth/sessions/%00"),
        ("GET", "/avatars/a%00"),
        ("GET", "/problems/%00"),
    ] {
        let reply = app.request(method, path).bearer(&fixture.admin.access_token).await;
        assert!(
            reply.status == 404 || path.starts_with("/usernames"),
            "{path}: {}",
            reply.text()
        );
    }
}

#[actix_web::test]
async fn swagger_ui_needs_no_other_origin() {
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
        "the page loads something from another origin"
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
async fn a_base_path_moves_everything_except_probes_and_well_known() {
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
    let scopes: Vec<&str> = app.state.scopes.all().iter().map(|scope| scope.name.as_str()).collect();
    assert!(scopes.contains(&"me:read") && scopes.contains(&"keys:verify"));
    assert_eq!(metadata["scopes_supported"], json!(scopes));
    let challenge = app.get("/account/me").await;
    let named = "https://example.com/.well-known/oauth-protected-resource/account";
    assert!(challenge.header("www-authenticate").unwrap().contains(named));
    let below_path = app
        .get("/.well-known/oauth-protected-resource/account")
        .await
        .expect(200);
    assert_eq!(below_path, metadata);
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
fn enum_values_are_documented_as_sent_and_not_as_named_in_rust() {
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
