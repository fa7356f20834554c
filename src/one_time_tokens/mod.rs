//! One-time tokens: the tokens in mailed links.
//!
//! A token is derived from its purpose and the id of its row ([`ServerSecret::token`]), so it isn't stored and the e-mail that
//! contains it can be composed when it is sent. A single UPDATE marks a token as used, so of several concurrent
//! requests with one token, one succeeds.

mod model;
mod store;

use chrono::TimeDelta;

use crate::db::Tx;
use crate::error::{Code, Error};
use crate::secret::{Purpose, ServerSecret, Token};
use crate::values::ids::OneTimeTokenId;

pub use model::Target;
pub use store::SWEEP;

/// Creates a token that is valid for `lifetime`. The event of the e-mail contains its id.
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

/// Uses a token up and returns its target. Call it in the transaction of the action: when that is rolled back, the token
/// remains valid.
///
/// # Errors
/// `link_expired_or_used`.
pub fn consume(tx: &mut Tx<'_>, purpose: Purpose, token: &Token) -> Result<Target, Error> {
    store::consume(tx, purpose, &token.hash())?.ok_or_else(|| Error::new(Code::LinkExpiredOrUsed))
}

/// Returns the target of a valid token without using it up.
pub fn peek(tx: &mut Tx<'_>, purpose: Purpose, token: &Token) -> Result<Option<Target>, Error> {
    store::find_valid(tx, purpose, &token.hash())
}

/// Invalidates the unused tokens of a target.
pub fn invalidate(tx: &mut Tx<'_>, purpose: Purpose, target: Target) -> Result<(), Error> {
    store::invalidate(tx, purpose, target)
}
