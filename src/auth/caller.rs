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
use crate::error::{Code, Error, FieldCode, Invalid};
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
    confirmed_password: Option<ConfirmedPassword>,
    permission: PhantomData<P>,
}

/// A password of the caller that was correct for the stored hash.
#[derive(Clone)]
struct ConfirmedPassword {
    hash: Arc<str>,
    /// Its place in the body.
    pointer: &'static str,
}

impl std::fmt::Debug for ConfirmedPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfirmedPassword").finish_non_exhaustive()
    }
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

    /// Records that the password at `pointer` in the body was correct for this hash. The transaction of the change compares
    /// the hash with the stored one, since the password may be changed in between.
    pub fn confirm_password(&mut self, hash: &str, pointer: &'static str) {
        self.confirmed_password = Some(ConfirmedPassword {
            hash: hash.into(),
            pointer,
        });
    }

    /// # Errors
    /// `validation_error` with `incorrect`, if the password that the caller confirmed is not the one with this hash.
    pub(super) fn require_confirmed_password(&self, stored_hash: Option<&str>) -> Result<(), Error> {
        match &self.confirmed_password {
            Some(confirmed) if stored_hash != Some(&confirmed.hash) => Err(incorrect_password(confirmed.pointer)),
            _ => Ok(()),
        }
    }
}

impl<P: Permission> Caller<P> {
    /// The caller with another identity, such as that of the same credential at a later time.
    ///
    /// # Errors
    /// As the extractor.
    pub(super) fn with_identity(&self, identity: &Identity) -> Result<Self, Error> {
        Ok(Self {
            principal: Arc::clone(permitted::<P>(identity)?),
            client: self.client.clone(),
            confirmed_password: self.confirmed_password.clone(),
            permission: PhantomData,
        })
    }
}

/// The error for a wrong current password, at its place in the body.
pub fn incorrect_password(pointer: &str) -> Error {
    let incorrect = Invalid::new(FieldCode::Incorrect, "This is not your current password.");
    Error::field(pointer, incorrect)
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

/// The principal of an identity that has the permission.
///
/// # Errors
/// That of the credential, or of the missing permission.
fn permitted<P: Permission>(identity: &Identity) -> Result<&Arc<Principal>, Error> {
    match identity {
        Identity::Authenticated(principal) => require::<P>(principal).map(|()| principal),
        Identity::Refused(code, detail) => {
            let error = Error::with_detail(*code, *detail);
            Err(if *code == Code::Unavailable {
                error.retry_after(1)
            } else {
                error
            })
        }
        Identity::Anonymous => Err(Error::new(Code::AuthenticationRequired)),
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
            (Some(identity), Some(client)) => permitted::<P>(identity).and_then(|principal| {
                count_write::<P>(request, principal, client)?;
                Ok(Self {
                    principal: Arc::clone(principal),
                    client: client.clone(),
                    confirmed_password: None,
                    permission: PhantomData,
                })
            }),
            _ => Err(Error::new(Code::AuthenticationRequired)),
        };
        // A method that the path does not have is reported before a missing credential.
        ready(caller.map_err(|error| method_not_allowed(request).unwrap_or(error)))
    }
}
