//! Who is it? Turns the credential of a request into an [`Identity`], and never answers: whether a credential is needed,
//! and of which kind, is for the handler's guard to say.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, web};
use chrono::{DateTime, Utc};

use crate::auth::{Credential, Identity};
use crate::error::{Code, Error};
use crate::http::{Client, Owner};
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
            let now = request.extensions().get::<Client>().map(|client| client.now);
            match (state, now) {
                (Some(state), Some(now)) => identify(&state, now, credential).await,
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

async fn identify(state: &State, now: DateTime<Utc>, credential: &str) -> Identity {
    let refused = || Identity::Refused(Code::InvalidToken, Code::InvalidToken.meaning());
    let Some(claims) = state.tokens.verify(now, credential) else {
        return refused();
    };
    let found = state
        .db
        .run(move |connection| sessions::authenticate(connection, now, &claims))
        .await;
    match found {
        Ok(Some(authenticated)) => Identity::Authenticated(Box::new(authenticated)),
        Ok(None) => refused(),
        Err(error) => unavailable(&error),
    }
}

/// Without a database nobody can be told apart: that is 503, never a wrong 401.
fn unavailable(error: &Error) -> Identity {
    tracing::warn!(%error, source = ?std::error::Error::source(error).map(ToString::to_string), "cannot authenticate");
    Identity::Refused(error.code(), error.code().meaning())
}
