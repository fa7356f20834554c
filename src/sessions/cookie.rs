//! The cookie that can hold the refresh token of a browser.

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::HeaderMap;

use crate::error::{Code, Error};
use crate::secret::Token;
use crate::state::State;

/// Browsers accept a cookie with this prefix only if it is `Secure` (RFC 6265bis §4.1.3.1).
const NAME: &str = "__Secure-keyward_refresh";

/// How a client sent its refresh token; the next one is returned in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    Body,
    Cookie,
}

pub struct PresentedToken {
    pub token: Token,
    pub delivery: Delivery,
}

/// The refresh token of a request: that of the body or, without one, that of the cookie.
///
/// # Errors
/// `cross_site_request` for a cookie that a page of another site sent.
pub fn presented_token(
    request: &HttpRequest,
    state: &State,
    in_body: Option<String>,
) -> Result<Option<PresentedToken>, Error> {
    if let Some(token) = in_body {
        return Ok(Some(PresentedToken {
            token: Token::new(token),
            delivery: Delivery::Body,
        }));
    }
    let Some(cookie) = request.cookie(NAME) else {
        return Ok(None);
    };
    refuse_cross_site(request.headers(), state)?;
    Ok(Some(PresentedToken {
        token: Token::new(cookie.value()),
        delivery: Delivery::Cookie,
    }))
}

/// Checks the origin of a request, as browsers state it in `Origin` (RFC 6454 §7) and `Sec-Fetch-Site` (Fetch Metadata).
fn refuse_cross_site(headers: &HeaderMap, state: &State) -> Result<(), Error> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("null"));
    let is_allowed = |origin: &str| {
        origin == state.config.public_url().origin()
            || origin == state.config.app_url().origin()
            || state.config.cors_origins.iter().any(|listed| listed == origin)
    };
    let origin = text("origin");
    let is_foreign = origin.is_some_and(|origin| !is_allowed(origin));
    let is_cross_site = text("sec-fetch-site") == Some("cross-site") && !origin.is_some_and(is_allowed);
    if is_foreign || is_cross_site {
        Err(Error::new(Code::CrossSiteRequest))
    } else {
        Ok(())
    }
}

pub fn is_present(request: &HttpRequest) -> bool {
    request.cookie(NAME).is_some()
}

pub fn refresh_cookie(state: &State, token: String, max_age: chrono::TimeDelta) -> Cookie<'static> {
    let base = state.config.public_url().path();
    Cookie::build(NAME, token)
        .path(format!("{base}/auth"))
        .http_only(true)
        .secure(true)
        .same_site(SameSite::Strict)
        .max_age(Duration::seconds(max_age.num_seconds()))
        .finish()
}

/// A cookie that makes the browser delete the present one.
pub fn removal_cookie(state: &State) -> Cookie<'static> {
    refresh_cookie(state, String::new(), chrono::TimeDelta::zero())
}
