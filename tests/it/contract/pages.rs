//! The built-in pages for mailed links.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward::notifications::Link;
use keyward::secret::TokenHash;
use serde_json::json;

use crate::support::{PASSWORD, TestApp};

const NO_FRONTEND: (&str, &str) = ("KEYWARD_APP_URL", "");

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    text.split_once(start).unwrap().1.split_once(end).unwrap().0
}

#[actix_web::test]
async fn every_mailed_link_has_a_page_that_allows_only_its_own_script() {
    let app = TestApp::start_with(&[NO_FRONTEND]);
    for link in Link::ALL {
        let reply = app.get(&format!("/{}", link.page())).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
        let policy = reply.header("content-security-policy").unwrap().to_owned();
        let page = reply.text();
        for (name, end) in [("style", "</style>"), ("script", "</script>")] {
            let source = between(&page, &format!("<{name}>"), end);
            let hash = STANDARD.encode(TokenHash::of(source.as_bytes()).as_bytes());
            assert!(policy.contains(&format!("{name}-src 'sha256-{hash}'")), "{policy}");
        }
        assert!(policy.contains("default-src 'none'"));
        assert!(page.contains(&format!("\"{}\": {{", link.page())), "{link:?}");
        let refused = app.post(&format!("/{}", link.page()), &json!({})).await;
        refused.refused(405, "method_not_allowed");
    }
}

#[actix_web::test]
async fn opening_a_page_does_not_use_up_the_token() {
    let app = TestApp::start_with(&[NO_FRONTEND]);
    let request = json!({"email": "ada@example.com", "password": PASSWORD});
    app.post("/auth/register", &request).await.expect(202);
    let mail = app.last_mail_to("ada@example.com").await;
    let token = mail.text.split_once("/verify-email#token=").unwrap().1;
    let token = token.split_whitespace().next().unwrap();
    for _ in 0..3 {
        app.get("/verify-email").await.expect_status(200);
    }
    let verification = json!({"token": token, "password": PASSWORD});
    app.post("/auth/verify-email", &verification).await.expect_status(204);
}

#[actix_web::test]
async fn there_are_no_pages_if_a_frontend_is_configured() {
    let app = TestApp::start_with(&[("KEYWARD_APP_URL", "https://app.example.com")]);
    for link in Link::ALL {
        app.get(&format!("/{}", link.page())).await.refused(404, "not_found");
    }
}

#[actix_web::test]
async fn the_pages_move_with_the_base_path() {
    let app = TestApp::start_with(&[NO_FRONTEND, ("KEYWARD_BASE_PATH", "/accounts")]);
    app.get("/accounts/verify-email").await.expect_status(200);
    app.get("/verify-email").await.refused(404, "not_found");
}
