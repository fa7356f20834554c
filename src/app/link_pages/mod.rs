//! The pages that mailed links lead to where there is no frontend (`KEYWARD_APP_URL` is not set): a button, and the few
//! fields that the act needs. A page sends the token of its link to the very endpoint that a frontend would use.

use std::sync::LazyLock;

use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::Config;
use crate::http::cacheable;
use crate::mail::Link;
use crate::secret::TokenHash;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

static PAGE: LazyLock<Bytes> = LazyLock::new(|| {
    let page = include_str!("page.html");
    page.replace("{style}", STYLE).replace("{script}", SCRIPT).into()
});

/// Nothing but this very script and style (CSP Level 3 §2.3.1), and no request to elsewhere.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(TokenHash::of(text.as_bytes()).as_bytes());
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; frame-ancestors 'none'; \
         base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
});

/// The paths of the pages, below the base path; none where a frontend has its own.
pub fn paths(config: &Config) -> Vec<String> {
    if config.app_url.is_some() {
        return Vec::new();
    }
    Link::ALL.iter().map(|link| format!("/{}", link.page())).collect()
}

/// The page; which one it is, its script sees by the path.
pub async fn get_page(request: HttpRequest) -> HttpResponse {
    let mut response = cacheable(&request, PAGE.clone(), "text/html; charset=utf-8", "no-cache");
    if let Ok(policy) = HeaderValue::from_str(&POLICY) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}
