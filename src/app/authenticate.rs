//! The authentication middleware: turns the credential of a request into an [`Identity`]. It never rejects a request;
//! whether an endpoint needs a credential, and of which kind, is decided by the handler's
//! [`Caller`](crate::auth::Caller).

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, web};
use chrono::{DateTime, Utc};

use super::routes::is_at_root;
use crate::api_keys::{self, CountUse, PresentedKey, Rejection, Verdict};
use crate::auth::{Credential, Identity, Principal};
use crate::error::{Code, Error};
use crate::http::{IdempotencyOwner, has_idempotency_key};
use crate::sessions;
use crate::state::State;
use crate::values::Client;

pub async fn authenticate(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if is_at_root(request.path()) {
        return next.call(request).await;
    }
    let context = request.app_data::<web::Data<State>>().cloned().zip(
        request
            .extensions()
            .get::<Client>()
            .map(|client| (client.now, client.ip)),
    );
    let identity = match (Authorization::of(request.headers()), &context) {
        (Authorization::None, _) => Identity::Anonymous,
        (Authorization::Malformed, _) => Identity::Refused(
            Code::MalformedRequest,
            "Send one Authorization header, of the form Bearer <credential>.",
        ),
        (Authorization::Bearer(credential), Some((state, (now, ip)))) => identify(state, *now, *ip, credential).await,
        (Authorization::Bearer(_), None) => refused(Code::InternalError),
    };
    let (mut user_id, mut key_id) = (None, None);
    if let Identity::Authenticated(principal) = &identity {
        user_id = Some(principal.user_id);
        match &principal.credential {
            Credential::Session { .. } if has_idempotency_key(&request) => {
                request.extensions_mut().insert(IdempotencyOwner(principal.user_id));
            }
            Credential::Session { .. } => {}
            Credential::ApiKey { id, .. } => key_id = Some(*id),
        }
    }
    request.extensions_mut().insert(identity);
    let mut response = next.call(request).await;
    let Some((state, (now, ip))) = context else {
        return response;
    };
    if let Ok(response) = &response {
        count_if_rate_limited(&state, response);
    }
    if let Some(id) = key_id {
        let denied = response.as_ref().is_ok_and(is_denied);
        api_keys::count_request(&state, id, now, ip, denied);
    }
    if let (Some(user_id), Ok(response)) = (user_id, &mut response) {
        state.write_limit.add_headers(response.headers_mut(), user_id, now);
    }
    response
}

/// The `Authorization` header of a request.
enum Authorization<'a> {
    /// No header, or another scheme than `Bearer`.
    None,
    /// Several headers, or bytes that are not visible ASCII.
    Malformed,
    /// RFC 6750 §2.1.
    Bearer(&'a str),
}

impl<'a> Authorization<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let mut values = headers.get_all(AUTHORIZATION);
        let Some(value) = values.next() else {
            return Self::None;
        };
        if values.next().is_some() {
            return Self::Malformed;
        }
        let Ok(value) = value.to_str() else {
            return Self::Malformed;
        };
        match value.split_once(' ') {
            Some((scheme, credential)) if scheme.eq_ignore_ascii_case("bearer") => Self::Bearer(credential.trim()),
            _ => Self::None,
        }
    }
}

fn refused(code: Code) -> Identity {
    Identity::Refused(code, code.meaning())
}

async fn identify(state: &State, now: DateTime<Utc>, ip: IpAddr, credential: &str) -> Identity {
    if api_keys::has_prefix(&state.config.key_prefix, credential) {
        return identify_key(state, now, ip, credential).await;
    }
    match sessions::look_up(state, now, credential).await {
        Ok(token) => identity_of_session(token.map(|token| Arc::clone(&token.session.principal))),
        Err(error) => unavailable(&error),
    }
}

/// The identity of a request in a session; `None`: the session is not live.
pub(super) fn identity_of_session(session: Option<Arc<Principal>>) -> Identity {
    session.map_or_else(|| refused(Code::InvalidToken), Identity::Authenticated)
}

/// The identity of a request with an API key, or why the key was rejected; `None`: it is unknown.
pub(super) fn identity_of_key(key: Result<Arc<Principal>, Option<Rejection>>) -> Identity {
    match key {
        Ok(principal) => Identity::Authenticated(principal),
        Err(Some(Rejection::IpNotAllowed)) => refused(Code::IpNotAllowed),
        Err(_) => refused(Code::InvalidToken),
    }
}

async fn identify_key(state: &State, now: DateTime<Utc>, ip: IpAddr, secret: &str) -> Identity {
    let presented = PresentedKey {
        secret,
        ip: Some(ip),
        // The handler's guard checks the scope.
        required_scopes: &[],
    };
    match api_keys::verify(state, now, presented, CountUse::WithResponse).await {
        Ok(Verdict::Valid(key)) => identity_of_key(Ok(Arc::clone(&key.principal))),
        Ok(Verdict::Rejected(_, rejection)) => identity_of_key(Err(Some(rejection))),
        Ok(Verdict::Malformed | Verdict::Unknown) => identity_of_key(Err(None)),
        Err(error) => unavailable(&error),
    }
}

fn error_of<B>(response: &ServiceResponse<B>) -> Option<&Error> {
    response.response().error().and_then(|error| error.as_error::<Error>())
}

/// Whether the handler's guard denied the use of the key.
fn is_denied<B>(response: &ServiceResponse<B>) -> bool {
    error_of(response).is_some_and(|error| matches!(error.code(), Code::InsufficientScope | Code::SessionRequired))
}

/// Counts a 429 for the audit log: for the account that was tried, or else for that of the caller.
fn count_if_rate_limited<B>(state: &State, response: &ServiceResponse<B>) {
    let Some(error) = error_of(response).filter(|error| error.code() == Code::RateLimited) else {
        return;
    };
    let extensions = response.request().extensions();
    let caller = match extensions.get::<Identity>() {
        Some(Identity::Authenticated(principal)) => Some(principal.user_id.uuid()),
        _ => None,
    };
    if let Some(client) = extensions.get::<Client>() {
        state.refused_requests.add(client, error.account().or(caller));
    }
}

/// Without the database a credential can't be checked. Not 401, because clients would discard a valid credential.
fn unavailable(error: &Error) -> Identity {
    tracing::warn!(%error, source = ?std::error::Error::source(error).map(ToString::to_string), "cannot authenticate");
    Identity::Refused(error.code(), error.code().meaning())
}
