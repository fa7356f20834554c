//! Changes by an authenticated caller. Each of them runs in a transaction that checks the caller again.
//!
//! A request is authenticated when its head arrives. Its body may come half a minute later, and the credential may have been
//! revoked in between. The transaction of the change therefore first locks the caller's account and decides about the
//! credential anew. Whatever revokes a credential locks the account of its owner too, so one of the two waits for the other:
//! either the change is committed before the revocation, or it is refused like a request that begins after it.

use actix_web::{HttpResponse, web};

use super::caller::Caller;
use super::permission::Permission;
use super::principal::{Identity, Principal};
use crate::db::{Db, Tx};
use crate::error::Error;
use crate::http::{ApiResponse, Idempotent};
use crate::values::Client;
use crate::values::ids::UserId;

/// Decides about credentials in the transaction of a change. `app` implements it, because `auth` knows none of the slices
/// that store credentials.
pub trait Recheck: Clone + Send + Sync + 'static {
    fn db(&self) -> &Db;

    /// Locks the accounts of the caller and of `others`, and reads the credential again.
    ///
    /// # Errors
    /// Only if the database fails.
    fn recheck(
        &self,
        tx: &mut Tx<'_>,
        principal: &Principal,
        client: &Client,
        others: Vec<UserId>,
    ) -> Result<Rechecked, Error>;
}

impl<R: Recheck> Recheck for web::Data<R> {
    fn db(&self) -> &Db {
        self.as_ref().db()
    }

    fn recheck(
        &self,
        tx: &mut Tx<'_>,
        principal: &Principal,
        client: &Client,
        others: Vec<UserId>,
    ) -> Result<Rechecked, Error> {
        self.as_ref().recheck(tx, principal, client, others)
    }
}

pub struct Rechecked {
    /// What the credential is worth now.
    pub identity: Identity,
    /// The stored hash of the caller's password.
    pub password_hash: Option<String>,
}

impl<P: Permission> Caller<P> {
    /// Runs `work` in a transaction, with the caller as it is now.
    ///
    /// # Errors
    /// The error that a new request would get, if the credential is no longer valid, lacks the permission or the password
    /// that the caller confirmed is no longer right. Otherwise as [`Db::transaction`].
    pub async fn transaction<T: Send + 'static>(
        self,
        state: &impl Recheck,
        work: impl Fn(&mut Tx<'_>, &Self) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        self.locking(|_| Ok(Vec::new())).transaction(state, work).await
    }

    /// Like [`Caller::transaction`], for an authenticated POST: a response is stored and replayed by its `Idempotency-Key`.
    ///
    /// # Errors
    /// As [`Caller::transaction`]; `idempotency_in_progress`, `idempotency_key_reused`.
    pub async fn idempotent_transaction(
        self,
        state: &impl Recheck,
        idempotent: Idempotent,
        work: impl Fn(&mut Tx<'_>, &Self) -> Result<ApiResponse, Error> + Send + Sync + 'static,
    ) -> Result<HttpResponse, Error> {
        self.locking(|_| Ok(Vec::new()))
            .idempotent_transaction(state, idempotent, work)
            .await
    }

    /// The caller of a transaction that also locks organisations or the accounts of others. In the order of locks (see `db`)
    /// these come before what the work locks, so `lock` runs first: it locks the organisations, and returns the accounts to
    /// lock together with the caller's. It refuses nothing, because the caller is not checked yet.
    pub const fn locking<L>(self, lock: L) -> Locking<P, L>
    where
        L: Fn(&mut Tx<'_>) -> Result<Vec<UserId>, Error> + Send + Sync + 'static,
    {
        Locking { caller: self, lock }
    }

    /// The caller as it is now.
    fn check_again(&self, state: &impl Recheck, tx: &mut Tx<'_>, others: Vec<UserId>) -> Result<Self, Error> {
        let Rechecked {
            identity,
            password_hash,
        } = state.recheck(tx, self, &self.client, others)?;
        let caller = self.with_identity(&identity)?;
        caller.require_confirmed_password(password_hash.as_deref())?;
        Ok(caller)
    }
}

/// See [`Caller::locking`].
pub struct Locking<P, L> {
    caller: Caller<P>,
    lock: L,
}

impl<P, L> Locking<P, L>
where
    P: Permission,
    L: Fn(&mut Tx<'_>) -> Result<Vec<UserId>, Error> + Send + Sync + 'static,
{
    /// See [`Caller::transaction`].
    ///
    /// # Errors
    /// As [`Caller::transaction`].
    pub async fn transaction<T: Send + 'static>(
        self,
        state: &impl Recheck,
        work: impl Fn(&mut Tx<'_>, &Caller<P>) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let (now, recheck) = (self.caller.now(), state.clone());
        let work = move |tx: &mut Tx<'_>| {
            let caller = self.enter(&recheck, tx)?;
            work(tx, &caller)
        };
        state.db().transaction(now, work).await
    }

    /// See [`Caller::idempotent_transaction`].
    ///
    /// # Errors
    /// As [`Caller::idempotent_transaction`].
    pub async fn idempotent_transaction(
        self,
        state: &impl Recheck,
        idempotent: Idempotent,
        work: impl Fn(&mut Tx<'_>, &Caller<P>) -> Result<ApiResponse, Error> + Send + Sync + 'static,
    ) -> Result<HttpResponse, Error> {
        let (now, recheck) = (self.caller.now(), state.clone());
        let work = move |tx: &mut Tx<'_>| idempotent.run(tx, |tx| self.enter(&recheck, tx), &work);
        state.db().transaction(now, work).await.map(HttpResponse::from)
    }

    fn enter(&self, state: &impl Recheck, tx: &mut Tx<'_>) -> Result<Caller<P>, Error> {
        let others = (self.lock)(tx)?;
        self.caller.check_again(state, tx, others)
    }
}
