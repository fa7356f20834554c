//! Who is it? Turns the credential of a request into an [`Identity`], and never answers: whether a credential is needed,
//! and of which kind, is for the handler's guard to say.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, web};
use chrono::{DateTime, Utc};

use crate::api_keys;
use crate::auth::{Credential, Identity, KeyStatus};
use crate::error::{Code, Error};
use crate::http::{Client, Owner};
use crate::secret::TokenHash;
use crate::sessions;
use crate::state::State;

/// The middleware.
pub async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let identity = match presented(request.headers()) {
        Presented::Nothing => Identity::Anonymous,
        Presented::TooMuch => Identity::Refused(
            Code::MalformedRequest,
            "Send one Authorization header, of the form Bearer <credential>.",
        ),
        Presented::Bearer(credential) => {
            let state = request.app_data::<web::Data<State>>().cloned();
            let client = request
                .extensions()
                .get::<Client>()
                .map(|client| (client.now, client.ip));
            match (state, client) {
                (Some(state), Some((now, ip))) => identify(&state, now, ip, credential).await,
                _ => Identity::Refused(Code::InternalError, Code::InternalError.meaning()),
            }
        }
    };
    if let Identity::Authenticated(authenticated) = &identity {
        let credential = match &authenticated.credential {
            Credential::Session { .. } => "session".to_owned(),
            Credential::ApiKey { id, .. } => id.to_string(),
        };
        request.extensions_mut().insert(Owner {
            user_id: authenticated.user_id,
            credential,
        });
    }
    request.extensions_mut().insert(identity);
    next.call(request).await
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
    let prefix = state.config.key_prefix.as_str();
    if !api_keys::has_prefix(prefix, credential) {
        return identify_session(state, now, credential).await;
    }
    // A key that was mistyped or made up costs no look into the database.
    if !api_keys::is_well_formed(prefix, credential) {
        return refused(Code::InvalidToken);
    }
    identify_key(state, now, ip, credential).await
}

async fn identify_session(state: &State, now: DateTime<Utc>, credential: &str) -> Identity {
    let Some(claims) = state.tokens.verify(now, credential) else {
        return refused(Code::InvalidToken);
    };
    let found = state
        .db
        .run(move |connection| sessions::find_standing(connection, &claims))
        .await;
    match found {
        Ok(Some(standing)) if now < standing.ends_at => Identity::Authenticated(standing.authenticated),
        Ok(_) => refused(Code::InvalidToken),
        Err(error) => unavailable(&error),
    }
}

async fn identify_key(state: &State, now: DateTime<Utc>, ip: IpAddr, credential: &str) -> Identity {
    let (hash, catalogue) = (TokenHash::of(credential.as_bytes()), Arc::clone(&state.scopes));
    let found = state
        .db
        .run(move |connection| api_keys::find_standing(connection, &catalogue, &hash))
        .await;
    let standing = match found {
        Ok(Some(standing)) if standing.is_secret_live(now) => standing,
        Ok(_) => return refused(Code::InvalidToken),
        Err(error) => return unavailable(&error),
    };
    match standing.state.status(now).0 {
        KeyStatus::Active if standing.admits(Some(ip)) => Identity::Authenticated(standing.authenticated),
        KeyStatus::Active => refused(Code::IpNotAllowed),
        _ => refused(Code::InvalidToken),
    }
}

/// Without a database nobody can be told apart: that is 503, never a wrong 401.
fn unavailable(error: &Error) -> Identity {
    tracing::warn!(%error, source = ?std::error::Error::source(error).map(ToString::to_string), "cannot authenticate");
    Identity::Refused(error.code(), error.code().meaning())
}
