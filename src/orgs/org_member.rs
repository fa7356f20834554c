//! The caller's membership in the organisation of a request, with a permission.

use std::marker::PhantomData;
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use super::guard;
use super::membership::{self, Membership};
use super::permissions::{OrgPermission, PermissionType, require, require_authority_over};
use super::store;
use crate::auth::{OrgRole, Principal};
use crate::db::Tx;
use crate::error::Error;
use crate::values::ids::{OrgId, UserId};

/// The membership of a caller who has the permission `P` in the organisation.
///
/// As an argument of a handler, after [`Caller`](crate::auth::Caller), it reads the membership in the organisation that
/// the first id of the path names, and refuses with 404 or 403 before the body is read. A handler that changes something
/// calls [`OrgMember::require`] or [`OrgMember::require_locked`] again in its transaction, since the role may have
/// changed in between. Where the path has a second id, a [`Path`](crate::http::Path) argument comes before this one: a
/// malformed id is 404 whatever the role of the caller.
#[derive(Clone, Debug)]
pub struct OrgMember<P> {
    membership: Membership,
    permission: PhantomData<P>,
}

impl<P: PermissionType> OrgMember<P> {
    /// # Errors
    /// `not_found` for a caller who is not a member, and for an API key that is bound to another organisation;
    /// `forbidden_role` for a member without the permission.
    pub fn require(tx: &mut Tx<'_>, caller: &Principal, org_id: OrgId) -> Result<Self, Error> {
        if caller.is_bound_elsewhere(org_id) {
            return Err(Error::not_found());
        }
        let membership = membership::require(tx, org_id, caller.user_id)?;
        require(membership.role, P::PERMISSION)?;
        Ok(Self {
            membership,
            permission: PhantomData,
        })
    }

    /// Like [`OrgMember::require`], with the organisation locked first: no role can change before the transaction ends.
    ///
    /// # Errors
    /// As [`OrgMember::require`].
    pub fn require_locked(tx: &mut Tx<'_>, caller: &Principal, org_id: OrgId) -> Result<Self, Error> {
        lock(tx, org_id)?;
        Self::require(tx, caller, org_id)
    }
}

impl<P> OrgMember<P> {
    pub fn into_membership(self) -> Membership {
        self.membership
    }

    /// # Errors
    /// `forbidden_role` for a member without this permission.
    pub fn require_permission(&self, permission: OrgPermission) -> Result<(), Error> {
        require(self.role, permission)
    }

    /// # Errors
    /// `forbidden_role` for a member who may not give this role, nor change or remove a member who has it.
    pub fn require_authority_over(&self, role: OrgRole) -> Result<(), Error> {
        require_authority_over(self.role, role)
    }
}

impl<P> Deref for OrgMember<P> {
    type Target = Membership;

    fn deref(&self) -> &Membership {
        &self.membership
    }
}

impl<P: PermissionType> FromRequest for OrgMember<P> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        guard::look_up(request, payload, Self::require)
    }
}

/// For [`Caller::locking`](crate::auth::Caller::locking): locks an organisation, if it exists.
pub fn locking(org_id: OrgId) -> impl Fn(&mut Tx<'_>) -> Result<Vec<UserId>, Error> + Send + Sync + 'static {
    move |tx| {
        lock_if_exists(tx, org_id)?;
        Ok(Vec::new())
    }
}

pub fn lock_if_exists(tx: &mut Tx<'_>, org_id: OrgId) -> Result<(), Error> {
    store::lock(tx, org_id).map(|_| ())
}

/// Locks an organisation until the transaction ends. Every transaction that adds, changes or removes members takes this
/// lock first, so that these run one after the other.
///
/// # Errors
/// `not_found`.
pub fn lock(tx: &mut Tx<'_>, org_id: OrgId) -> Result<(), Error> {
    if store::lock(tx, org_id)? {
        Ok(())
    } else {
        Err(Error::not_found())
    }
}
