//! HTTP as the contract defines it, also where actix has defaults of its own; headers of every response.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::support::{PASSWORD, TestApp};

#[actix_web::test]
async fn an_unknown_path_is_404_and_a_wrong_method_405_with_allow() {
    let app = TestApp::start();
    app.get("/nothing").await.refused(404, "not_found");
    app.get("/me/").await.refused(404, "not_found");
    let wrong = app.request("DELETE", "/email").await;
    wrong.refused(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), Some("GET, HEAD, OPTIONS, POST"));
    app.request("BREW", "/me").await.refused(405, "method_not_allowed");
    let options = app.request("OPTIONS", "/email").await;
    assert_eq!(
        (options.status, options.header("allow")),
        (204, Some("GET, HEAD, OPTIONS, POST"))
    );
    app.request("OPTIONS", "/nothing").await.refused(404, "not_found");
}

#[actix_web::test]
async fn head_returns_the_headers_of_get_without_a_body() {
    let app = TestApp::start();
    let get = app.get("/password/policy").await;
    let head = app.request("HEAD", "/password/policy").await;
    assert_eq!((head.status, head.bytes.len()), (200, 0));
    assert_eq!(head.header("content-length"), get.header("content-length"));
    assert_eq!(app.request("HEAD", "/me").await.status, 401);
    assert_eq!(app.request("HEAD", "/nothing").await.status, 404);
}

#[actix_web::test]
async fn a_well_formed_request_id_is_kept() {
    let app = TestApp::start();
    let id = "abc-DEF_12345";
    let reply = app.get("/me").header("x-request-id", id).await;
    assert_eq!(reply.header("x-request-id"), Some(id));
    assert_eq!(reply.json()["request_id"], id);
    for bad in ["short", "with space in it", "ümlaut-ümlaut", &"a".repeat(65)] {
        let reply = app.get("/livez").header("x-request-id", bad).await;
        let made = reply.header("x-request-id").unwrap();
        assert_ne!(made, bad);
        assert!((8..=64).contains(&made.len()));
    }
}

#[actix_web::test]
async fn every_response_has_the_security_headers() {
    let app = TestApp::start_with(&[("KEYWARD_PUBLIC_URL", "https://keyward.test")]);
    for path in ["/livez", "/me", "/nothing", "/password/policy"] {
        let reply = app.get(path).await;
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        assert!(
            reply
                .header("content-security-policy")
                .unwrap()
                .starts_with("default-src 'none'")
        );
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
        assert!(reply.header("strict-transport-security").is_some());
        assert!(reply.header("access-control-allow-origin").is_none());
    }
}

#[actix_web::test]
async fn cors_allows_only_the_listed_origins() {
    let app = TestApp::start_with(&[("KEYWARD_CORS_ORIGINS", "https://app.example,https://other.example")]);
    let preflight = |origin: &str| {
        app.request("OPTIONS", "/me")
            .header("origin", origin)
            .header("access-control-request-method", "PATCH")
            .header("access-control-request-headers", "authorization,content-type,if-match")
            .send()
    };
    let reply = preflight("https://app.example").await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
    let evil = preflight("https://evil.example").await;
    let evil_get = app.get("/livez").header("origin", "https://evil.example").await;
    for reply in [evil, evil_get, app.get("/livez").await] {
        assert_eq!(reply.header("access-control-allow-origin"), None);
        assert_eq!(reply.header("access-control-allow-credentials"), None);
    }
    // A preflight that a gateway forwards belongs to the service behind the gateway.
    for path in ["/auth/forward", "/auth/forward/held/some/path"] {
        app.request("OPTIONS", path)
            .header("origin", "https://app.example")
            .header("access-control-request-method", "POST")
            .await
            .refused(401, "authentication_required");
    }
    let refused = app.get("/me").header("origin", "https://app.example").await;
    refused.refused(401, "authentication_required");
    assert_eq!(
        refused.header("access-control-allow-origin"),
        Some("https://app.example")
    );
}

#[actix_web::test]
async fn every_problem_code_has_a_page() {
    let app = TestApp::start();
    for code in keyward::error::Code::ALL {
        let page = app.get(&format!("/problems/{}", code.as_str())).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(page.text().contains(code.as_str()));
    }
    app.get("/problems/nonsense").await.refused(404, "not_found");
}

#[actix_web::test]
async fn the_public_keys_verify_access_tokens() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    let app = TestApp::start();
    let ada = app.person("ada").await;
    let jwks = app.get("/.well-known/jwks.json").await;
    assert!(jwks.header("cache-control").unwrap().contains("max-age"));
    let key = jwks.expect(200)["keys"][0].clone();
    let (signed, signature) = ada.access_token.rsplit_once('.').unwrap();
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let public = decode(key["x"].as_str().unwrap());
    let public = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, public);
    public.verify(signed.as_bytes(), &decode(signature)).unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let header: serde_json::Value = serde_json::from_slice(&decode(header)).unwrap();
    assert_eq!(
        (&header["typ"], &header["alg"], &header["kid"]),
        (&json!("at+jwt"), &json!("EdDSA"), &key["kid"])
    );
    let claims: serde_json::Value = serde_json::from_slice(&decode(claims)).unwrap();
    assert_eq!(
        (&claims["iss"], &claims["aud"]),
        (&json!("http://keyward.test"), &json!("keyward"))
    );
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
    // A verifier whose clock is two seconds slow accepts a new token.
    assert_eq!(claims["nbf"], claims["iat"]);
    assert!(claims["iat"].as_i64().unwrap() <= app.state.clock.now().timestamp() - 2);
    for claim in ["sub", "nbf", "jti", "sid", "auth_time", "role", "org_id", "org_role"] {
        assert!(claims.get(claim).is_some(), "{claim}");
    }
}

#[actix_web::test]
async fn a_body_without_a_media_type_is_rejected() {
    let app = TestApp::start();
    app.request("POST", "/auth/login")
        .await
        .refused(415, "unsupported_media_type");
    let body = json!({"login": "ada", "password": PASSWORD}).to_string();
    app.request("POST", "/auth/login")
        .body("application/json; charset=UTF-8", body)
        .await
        .refused(401, "invalid_credentials");
}

#[actix_web::test]
async fn widespread_variants_of_media_types_and_bodies_are_accepted() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let body = json!({"login": "ada", "password": PASSWORD}).to_string();
    for media_type in ["application/json; charset=utf8", "application/json;charset=\"UTF8\""] {
        app.request("POST", "/auth/login")
            .body(media_type, body.clone())
            .await
            .expect(200);
    }
    app.request("POST", "/auth/login")
        .body("application/json; charset=latin1", body.clone())
        .await
        .refused(415, "unsupported_media_type");
    let with_mark = format!("\u{feff}{body}");
    app.request("POST", "/auth/login")
        .body("application/json", with_mark.clone())
        .await
        .expect(200);
    app.request("POST", "/auth/login")
        .body("application/json", format!("\u{feff}{with_mark}"))
        .await
        .refused(400, "malformed_json");
    for media_type in ["application/x-www-form-urlencoded", "text/plain", "nonsense"] {
        app.request("POST", "/notifications/read-all")
            .bearer(&ada.access_token)
            .body(media_type, "")
            .await
            .expect(204);
    }
}

#[actix_web::test]
async fn a_literal_path_is_not_treated_as_an_id() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let reply = app.get("/api-keys/verify").bearer(&ada.access_token).await;
    reply.refused(405, "method_not_allowed");
    assert_eq!(reply.header("allow"), Some("OPTIONS, POST"));
    // The method is checked before the credential.
    for (method, path) in [
        ("GET", "/api-keys/%76erify"),
        ("GET", "/api-keys/verify"),
        ("DELETE", "/api-keys/delete"),
        ("PATCH", "/api-keys/current"),
    ] {
        app.request(method, path).await.refused(405, "method_not_allowed");
    }
    app.request("POST", "/api-keys/verify")
        .await
        .refused(401, "authentication_required");
    let options = app.request("OPTIONS", "/api-keys/current").await;
    assert_eq!(options.header("allow"), Some("DELETE, GET, HEAD, OPTIONS"));
}

#[actix_web::test]
async fn operations_without_a_body_accept_only_an_empty_one() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let call = || app.request("POST", "/notifications/read-all").bearer(&ada.access_token);
    call()
        .json(&json!({"surprise": 1}))
        .await
        .invalid(&[("#/surprise", "unknown_field")]);
    call()
        .body("text/plain", "x")
        .await
        .refused(415, "unsupported_media_type");
    call().json(&json!({})).await.expect(204);
    call().await.expect(204);
    let unread = app.delete("/auth/sessions").bearer(&ada.access_token);
    unread
        .json(&json!({"surprise": 1}))
        .await
        .invalid(&[("#/surprise", "unknown_field")]);
}

#[actix_web::test]
async fn a_malformed_id_is_404_before_the_body_has_arrived() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let (address, token) = (app.address, ada.access_token);
    let answer = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let head = format!(
            "POST /api-keys/nope/rotate HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        answer
    });
    assert_eq!(&answer.join().unwrap(), b"HTTP/1.1 404");
}

#[actix_web::test]
async fn unknown_and_malformed_ids_get_the_same_response() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let update = |id: &'static str| {
        app.patch(&format!("/api-keys/{id}"), &json!({"name": "x"}))
            .bearer(&ada.access_token)
            .send()
    };
    let [unknown, malformed] = [
        update("0198a3c0-0000-7000-8000-000000000000").await,
        update("nope").await,
    ];
    unknown.refused(404, "not_found");
    assert_eq!(unknown.without_request_id(), malformed.without_request_id());
    let names = |reply: &crate::support::Reply| {
        let mut names: Vec<String> = reply.headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    };
    assert_eq!(names(&unknown), names(&malformed));
}
