//! Who is it? Turns the credential of a request into an [`Identity`], and never answers: whether a credential is needed,
//! and of which kind, is for the handler's guard to say.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, web};
use chrono::{DateTime, Utc};

use super::routes::is_at_root;
use crate::api_keys::{self, LookUp};
use crate::auth::{Credential, Identity};
use crate::credential_cache::KeyStatus;
use crate::error::{Code, Error};
use crate::http::{Owner, has_idempotency_key};
use crate::sessions;
use crate::state::State;
use crate::values::Client;

/// The middleware.
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
    let identity = match (presented(request.headers()), &context) {
        (Presented::Nothing, _) => Identity::Anonymous,
        (Presented::TooMuch, _) => Identity::Refused(
            Code::MalformedRequest,
            "Send one Authorization header, of the form Bearer <credential>.",
        ),
        (Presented::Bearer(credential), Some((state, (now, ip)))) => identify(state, *now, *ip, credential).await,
        (Presented::Bearer(_), None) => refused(Code::InternalError),
    };
    let mut key = None;
    if let Identity::Authenticated(authenticated) = &identity {
        match &authenticated.credential {
            Credential::Session { .. } if has_idempotency_key(&request) => {
                request.extensions_mut().insert(Owner(authenticated.user_id));
            }
            Credential::Session { .. } => {}
            Credential::ApiKey { id, .. } => key = Some(*id),
        }
    }
    request.extensions_mut().insert(identity);
    let response = next.call(request).await;
    if let (Some(id), Some((state, (now, ip)))) = (key, context) {
        let denied = response.as_ref().is_ok_and(is_denied);
        state.key_usage.record(id, now, Some(ip), denied);
    }
    response
}

enum Presented<'a> {
    Nothing,
    TooMuch,
    Bearer(&'a str),
}

/// The credential of RFC 6750 §2.1. Another scheme than Bearer is as good as nothing.
fn presented(headers: &HeaderMap) -> Presented<'_> {
    let mut values = headers.get_all(AUTHORIZATION);
    let Some(value) = values.next() else {
        return Presented::Nothing;
    };
    if values.next().is_some() {
        return Presented::TooMuch;
    }
    let Ok(value) = value.to_str() else {
        return Presented::TooMuch;
    };
    match value.split_once(' ') {
        Some((scheme, credential)) if scheme.eq_ignore_ascii_case("bearer") => Presented::Bearer(credential.trim()),
        _ => Presented::Nothing,
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
        Ok(Some(known)) => Identity::Authenticated(Arc::clone(&known.session.principal)),
        Ok(None) => refused(Code::InvalidToken),
        Err(error) => unavailable(&error),
    }
}

async fn identify_key(state: &State, now: DateTime<Utc>, ip: IpAddr, secret: &str) -> Identity {
    let standing = match api_keys::look_up(state, now, secret).await {
        Ok(LookUp::Known(standing)) => standing,
        Ok(LookUp::Unknown | LookUp::Malformed) => return refused(Code::InvalidToken),
        Err(error) => return unavailable(&error),
    };
    let code = match standing.state.status(now).0 {
        KeyStatus::Active if standing.allows_ip(Some(ip)) => {
            // Whether this use is denied is for the handler's guard to say.
            return Identity::Authenticated(Arc::clone(&standing.principal));
        }
        KeyStatus::Active => Code::IpNotAllowed,
        _ => Code::InvalidToken,
    };
    state.key_usage.record(standing.id, now, Some(ip), true);
    refused(code)
}

/// Whether a guard turned the caller away.
fn is_denied<B>(response: &ServiceResponse<B>) -> bool {
    let error = response.response().error().and_then(|error| error.as_error::<Error>());
    error.is_some_and(|error| matches!(error.code(), Code::InsufficientScope | Code::SessionRequired))
}

/// Without a database nobody can be told apart: that is 503, never a wrong 401.
fn unavailable(error: &Error) -> Identity {
    tracing::warn!(%error, source = ?std::error::Error::source(error).map(ToString::to_string), "cannot authenticate");
    Identity::Refused(error.code(), error.code().meaning())
}
