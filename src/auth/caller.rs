//! [`Caller`], the extractor that authorizes a request.

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use chrono::{DateTime, TimeDelta, Utc};

use super::permission::{Admin, EndSessions, Kind, Permission, Session};
use super::principal::{Credential, Identity, Principal};
use super::roles::PlatformRole;
use crate::error::{Code, Error};
use crate::http::{MAX_AUTH_AGE_SECONDS, WriteLimit, method_not_allowed};
use crate::values::Client;
use crate::values::ids::SessionId;

/// An authenticated principal that has the permission `P`. It can only be extracted from a request whose credential has the
/// permission, so a handler that takes a `Caller<P>` cannot forget the check.
///
/// It must be the first argument of a handler. Actix polls the extractors of a handler in order; this one is ready at once,
/// so a missing permission is reported before any error in the rest of the request.
#[derive(Clone, Debug)]
pub struct Caller<P> {
    principal: Arc<Principal>,
    pub client: Client,
    permission: PhantomData<P>,
}

impl<P> Deref for Caller<P> {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

impl<P> Caller<P> {
    /// The instant at which the request arrived.
    pub const fn now(&self) -> DateTime<Utc> {
        self.client.now
    }
}

/// The permissions that only sessions can have.
pub trait OfSession: Permission {}
impl OfSession for Session {}
impl OfSession for EndSessions {}
impl OfSession for Admin {}

impl<P: OfSession> Caller<P> {
    fn session(&self) -> Result<(SessionId, DateTime<Utc>), Error> {
        match self.principal.credential {
            Credential::Session { id, authenticated_at } => Ok((id, authenticated_at)),
            Credential::ApiKey { .. } => Err(Error::new(Code::SessionRequired)),
        }
    }

    /// The session of the request.
    ///
    /// # Errors
    /// `session_required`. The extractor has checked this, so it does not occur.
    pub fn session_id(&self) -> Result<SessionId, Error> {
        self.session().map(|(id, _)| id)
    }

    /// Whether the user entered the password in this session during the last ten minutes.
    pub fn is_fresh(&self) -> bool {
        self.session()
            .is_ok_and(|(_, at)| self.now() - at <= TimeDelta::seconds(MAX_AUTH_AGE_SECONDS))
    }
}

fn require<P: Permission>(principal: &Principal) -> Result<(), Error> {
    match (&principal.credential, P::KIND) {
        (Credential::ApiKey { .. }, Kind::Session) => Err(Error::new(Code::SessionRequired)),
        (Credential::Session { .. }, Kind::ApiKey) => Err(Error::new(Code::ApiKeyRequired)),
        (Credential::Session { .. }, _) if P::ADMIN && principal.role != PlatformRole::Admin => {
            Err(Error::new(Code::ForbiddenRole))
        }
        (Credential::Session { .. }, _) => Ok(()),
        (Credential::ApiKey { scopes, .. }, _) => match P::SCOPE {
            Some(scope) if !scopes.iter().any(|granted| granted == scope) => Err(Error::insufficient_scope(scope)),
            _ => Ok(()),
        },
    }
}

/// Applies the rate limit of changes.
fn count_write<P: Permission>(request: &HttpRequest, principal: &Principal, client: &Client) -> Result<(), Error> {
    let limit = request.app_data::<web::Data<WriteLimit>>();
    match limit.filter(|_| P::COUNTED && !request.method().is_safe()) {
        Some(limit) => limit.count(principal.user_id, client.now),
        None => Ok(()),
    }
}

impl<P: Permission> FromRequest for Caller<P> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        let caller = match (extensions.get::<Identity>(), extensions.get::<Client>()) {
            (Some(Identity::Authenticated(principal)), Some(client)) => require::<P>(principal)
                .and_then(|()| count_write::<P>(request, principal, client))
                .map(|()| Self {
                    principal: Arc::clone(principal),
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
        // A method that the path does not have is reported before a missing credential.
        ready(caller.map_err(|error| method_not_allowed(request).unwrap_or(error)))
    }
}
