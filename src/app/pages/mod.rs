//! Pages for mailed links, if there is no frontend (`KEYWARD_APP_URL` is not set). Each has a form with a button, and sends the
//! token of the link to the same endpoint that a frontend would call.

use std::sync::LazyLock;

use actix_web::http::header::HeaderValue;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use utoipa_actix_web::service_config::ServiceConfig;

use super::docs::with_content_security_policy;
use crate::config::Config;
use crate::http::cacheable;
use crate::notifications::Link;
use crate::secret::TokenHash;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

static PAGE: LazyLock<Bytes> = LazyLock::new(|| {
    let page = include_str!("page.html");
    page.replace("{style}", STYLE).replace("{script}", SCRIPT).into()
});

/// Allows only this script and style, by their hashes (CSP Level 3 §2.3.1), and requests to this origin.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(TokenHash::of(text.as_bytes()).as_bytes());
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; frame-ancestors 'none'; \
         base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// The paths of the pages, below the base path; empty if a frontend has these pages.
pub fn paths(config: &Config) -> Vec<String> {
    if config.app_url.is_some() {
        return Vec::new();
    }
    Link::ALL.iter().map(|link| format!("/{}", link.page())).collect()
}

/// The pages are not operations of the API and not in the document.
pub fn router(routes: &mut ServiceConfig, config: &Config) {
    for path in paths(config) {
        routes.route(&path, web::get().to(get_page));
    }
}

/// One file for all pages: its script chooses the texts and fields by the path.
async fn get_page(request: HttpRequest) -> HttpResponse {
    let page = cacheable(&request, PAGE.clone(), "text/html; charset=utf-8", "no-cache");
    with_content_security_policy(page, &POLICY)
}
