//! Ending sessions.

use super::refresh::lock_with_user;
use crate::audit::{self, Action, Entry};
use crate::auth::Caller;
use crate::db::Tx;
use crate::error::{Code, Error};
use crate::secret::{ServerSecret, Token};
use crate::sessions::model::EndReason;
use crate::sessions::refresh_token::RefreshToken;
use crate::sessions::store;
use crate::values::Client;
use crate::values::ids::{SessionId, UserId};

/// Ends the session of a refresh token, whether or not the token was exchanged already.
///
/// # Errors
/// `invalid_token` for an unknown token.
pub fn end_by_refresh_token(
    tx: &mut Tx<'_>,
    secret: &ServerSecret,
    client: &Client,
    token: &Token,
) -> Result<(), Error> {
    let token = RefreshToken::decode(secret, token).ok_or_else(|| Error::new(Code::InvalidToken))?;
    let (user, session) = lock_with_user(tx, token.session_id)?;
    if store::end(tx, user.id, session.id, EndReason::LoggedOut)? {
        let entry = Entry::by_user(client, user.id, user.name(), Action::SessionEnded);
        audit::record(tx, entry.object("session", session.id.uuid(), None))?;
    }
    Ok(())
}

/// Ends a session of the caller.
///
/// # Errors
/// `not_found` when it has ended or belongs to another user.
pub fn end<P>(tx: &mut Tx<'_>, caller: &Caller<P>, id: SessionId, reason: EndReason) -> Result<(), Error> {
    if !store::end(tx, caller.user_id, id, reason)? {
        return Err(Error::not_found());
    }
    let entry = Entry::by(caller, Action::SessionEnded);
    audit::record(tx, entry.object("session", id.uuid(), None))
}

/// Ends all sessions of the caller except one.
pub fn end_others<P>(tx: &mut Tx<'_>, caller: &Caller<P>, except: SessionId, reason: EndReason) -> Result<(), Error> {
    let ended = store::end_all(tx, caller.user_id, Some(except), reason)?;
    if ended > 0 {
        audit::record(tx, Entry::by(caller, Action::SessionOthersEnded).detail("count", ended))?;
    }
    Ok(())
}

/// Ends all sessions of a user, and returns how many. The audit record is left to the caller.
pub fn end_all(tx: &mut Tx<'_>, user_id: UserId, reason: EndReason) -> Result<usize, Error> {
    store::end_all(tx, user_id, None, reason)
}
