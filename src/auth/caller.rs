//! The guard of a handler: its first argument.

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use chrono::{DateTime, TimeDelta, Utc};

use super::permission::{Admin, Kind, Permission, Session};
use super::principal::{Credential, Identity, Principal};
use super::roles::PlatformRole;
use crate::error::{Code, Error};
use crate::http::{MAX_AUTH_AGE_SECONDS, method_not_allowed};
use crate::values::Client;
use crate::values::ids::SessionId;

/// Somebody who has the permission `P`. There is no other way to get one than from a request whose credential has it; so a
/// handler that takes a `Caller<P>` cannot forget to ask. It is ready at once, and must be a handler's first argument:
/// then it refuses before anything else of the request is looked at.
#[derive(Clone, Debug)]
pub struct Caller<P> {
    authenticated: Arc<Principal>,
    /// Where the request comes from, and when.
    pub client: Client,
    permission: PhantomData<P>,
}

impl<P> Deref for Caller<P> {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.authenticated
    }
}

impl<P> Caller<P> {
    /// The instant of the request.
    pub const fn now(&self) -> DateTime<Utc> {
        self.client.now
    }
}

/// The two permissions that only sessions can have.
pub trait OfSession: Permission {}
impl OfSession for Session {}
impl OfSession for Admin {}

impl<P: OfSession> Caller<P> {
    fn session(&self) -> Result<(SessionId, DateTime<Utc>), Error> {
        match self.authenticated.credential {
            Credential::Session { id, authenticated_at } => Ok((id, authenticated_at)),
            Credential::ApiKey { .. } => Err(Error::new(Code::SessionRequired)),
        }
    }

    /// The session that calls.
    ///
    /// # Errors
    /// `session_required`, which the guard has ruled out already.
    pub fn session_id(&self) -> Result<SessionId, Error> {
        self.session().map(|(id, _)| id)
    }

    /// Whether the password was shown in the last ten minutes.
    pub fn is_fresh(&self) -> bool {
        self.session()
            .is_ok_and(|(_, at)| self.now() - at <= TimeDelta::seconds(MAX_AUTH_AGE_SECONDS))
    }
}

fn permit<P: Permission>(authenticated: &Principal) -> Result<(), Error> {
    match (&authenticated.credential, P::KIND) {
        (Credential::ApiKey { .. }, Kind::Session) => Err(Error::new(Code::SessionRequired)),
        (Credential::Session { .. }, Kind::ApiKey) => Err(Error::new(Code::ApiKeyRequired)),
        (Credential::Session { .. }, _) if P::ADMIN && authenticated.role != PlatformRole::Admin => {
            Err(Error::new(Code::ForbiddenRole))
        }
        (Credential::Session { .. }, _) => Ok(()),
        (Credential::ApiKey { scopes, .. }, _) => match P::SCOPE {
            Some(scope) if !scopes.iter().any(|granted| granted == scope) => Err(Error::insufficient_scope(scope)),
            _ => Ok(()),
        },
    }
}

impl<P: Permission> FromRequest for Caller<P> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        let caller = match (extensions.get::<Identity>(), extensions.get::<Client>()) {
            (Some(Identity::Authenticated(authenticated)), Some(client)) => permit::<P>(authenticated).map(|()| Self {
                authenticated: Arc::clone(authenticated),
                client: client.clone(),
                permission: PhantomData,
            }),
            (Some(Identity::Refused(code, detail)), _) => {
                let error = Error::with_detail(*code, *detail);
                Err(if *code == Code::Unavailable {
                    error.retry_after(1)
                } else {
                    error
                })
            }
            _ => Err(Error::new(Code::AuthenticationRequired)),
        };
        // Whether there is such a method comes before who asks.
        ready(caller.map_err(|error| method_not_allowed(request).unwrap_or(error)))
    }
}
