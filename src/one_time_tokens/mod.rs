//! Mailed links: each opens one door, once, in its time.
//!
//! A token is derived from its purpose and id (see [`ServerSecret::token`]), so the mail that carries it is made when it is
//! sent. Using one is a single UPDATE, which decides every race: of fifty at once, one finds it unused.

mod store;

use crate::db::Tx;
use chrono::TimeDelta;

use crate::error::{Code, Error};
use crate::secret::{Purpose, ServerSecret, Token};
use crate::values::ids::{EmailChangeId, InvitationId, OneTimeTokenId, RegistrationId, UserId};

/// What a link acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A sign-up.
    Registration(RegistrationId),
    /// A person's password.
    User(UserId),
    /// A change of address.
    EmailChange(EmailChangeId),
    /// An invitation.
    Invitation(InvitationId),
}

/// Makes a link for `purpose`, good until `now + lifetime`.
///
/// # Errors
/// When the database fails.
pub fn issue(
    tx: &mut Tx<'_>,
    secret: &ServerSecret,
    purpose: Purpose,
    target: Target,
    lifetime: TimeDelta,
) -> Result<OneTimeTokenId, Error> {
    let id = OneTimeTokenId::new(tx.now);
    let hash = secret.token(purpose, id.uuid()).hash();
    store::insert(tx, id, purpose, &hash, target, tx.now + lifetime)?;
    Ok(id)
}

/// Uses a link up and says what it acts on. To be called in the transaction of the act: if that fails, the link is good
/// still.
///
/// # Errors
/// `link_expired_or_used`.
pub fn consume(tx: &mut Tx<'_>, purpose: Purpose, token: &Token) -> Result<Target, Error> {
    store::consume(tx, purpose, &token.hash())?.ok_or_else(|| Error::new(Code::LinkExpiredOrUsed))
}

/// What a link acts on, while it is good; it stays so.
///
/// # Errors
/// When the database fails.
pub fn peek(tx: &mut Tx<'_>, purpose: Purpose, token: &Token) -> Result<Option<Target>, Error> {
    store::find_live(tx, purpose, &token.hash())
}

/// Voids the links for `purpose` that act on `target`.
///
/// # Errors
/// When the database fails.
pub fn invalidate(tx: &mut Tx<'_>, purpose: Purpose, target: Target) -> Result<(), Error> {
    store::invalidate(tx, purpose, target)
}

/// Forgets links that ended long ago.
///
/// # Errors
/// When the database fails.
pub fn sweep(tx: &mut Tx<'_>) -> Result<usize, Error> {
    store::delete_expired(tx, tx.now - TimeDelta::days(30))
}
