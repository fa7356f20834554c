//! Refreshing a session: rotation and reuse detection.

use super::{grant, resolve_org};
use crate::audit::{self, Action, Entry};
use crate::db::Tx;
use crate::error::{Code, Error};
use crate::notifications::{self, Event};
use crate::secret::{ServerSecret, Token};
use crate::sessions::model::{EndReason, Grant, RETRY_WINDOW, Session};
use crate::sessions::store::{self, RefreshToken};
use crate::users::{self, User};
use crate::values::ids::{OrgId, RefreshTokenId};
use crate::values::{Client, IdRef};

/// The result of a refresh. Reuse is not an error, because an error would roll back the end of the session.
pub enum Refreshed {
    Granted(Box<Grant>),
    Reused,
}

/// Exchanges a refresh token for its successor.
///
/// # Errors
/// `invalid_token`; `not_found` when the user is not a member of the requested organisation, in which case the token remains
/// valid.
pub fn refresh(
    tx: &mut Tx<'_>,
    secret: &ServerSecret,
    client: &Client,
    token: &Token,
    org_id: Option<IdRef<OrgId>>,
) -> Result<Refreshed, Error> {
    let invalid = || Error::new(Code::InvalidToken);
    let (user, session, token) = lock_by_refresh_token(tx, token)?.ok_or_else(invalid)?;
    if !session.is_live(tx.now) || user.disabled_at.is_some() {
        return Err(invalid());
    }
    let org = resolve_org(tx, user.id, org_id, session.org_id)?;
    let Some(successor_id) = rotate(tx, secret, &session, &token)? else {
        end_after_reuse(tx, client, &session, &user)?;
        return Ok(Refreshed::Reused);
    };
    let active_org_id = org.as_ref().map(|org| org.id);
    let session = store::record_refresh(tx, session.id, active_org_id)?;
    if org_id.is_some() {
        users::set_last_org(tx, user.id, active_org_id)?;
    }
    let grant = grant(&session, &user, org, Some(successor_id));
    Ok(Refreshed::Granted(Box::new(grant)))
}

/// A refresh token and its session, with the account locked: of two parallel refreshes the second sees the changes of the
/// first, and whoever ends the session has locked the account before.
pub fn lock_by_refresh_token(tx: &mut Tx<'_>, token: &Token) -> Result<Option<(User, Session, RefreshToken)>, Error> {
    let hash = token.hash();
    let Some(user_id) = store::find_user_by_refresh_token(tx, &hash)? else {
        return Ok(None);
    };
    let user = users::lock(tx, user_id).map_err(|error| error.if_not_found(Code::InvalidToken))?;
    let found = store::find_by_refresh_token(tx, &hash)?;
    Ok(found.map(|(session, token)| (user, session, token)))
}

/// The successor of a token: a new one for the current token, the same again for a repeated refresh, `None` for a reuse.
fn rotate(
    tx: &mut Tx<'_>,
    secret: &ServerSecret,
    session: &Session,
    token: &RefreshToken,
) -> Result<Option<RefreshTokenId>, Error> {
    if let (Some(exchanged_at), Some(successor_id)) = (token.used_at, token.successor_id) {
        let is_retry = tx.now - exchanged_at <= RETRY_WINDOW && store::is_current(tx, successor_id)?;
        return Ok(is_retry.then_some(successor_id));
    }
    let successor_id = RefreshTokenId::new(tx.now);
    store::mark_exchanged(tx, token.id, successor_id)?;
    store::insert_refresh_token(tx, secret, session.id, successor_id)?;
    Ok(Some(successor_id))
}

/// Ends the session, because the user and an attacker may both have its refresh tokens, and notifies the user.
fn end_after_reuse(tx: &mut Tx<'_>, client: &Client, session: &Session, user: &User) -> Result<(), Error> {
    store::end(tx, user.id, session.id, EndReason::TokenReused)?;
    let event = Event::RefreshTokenReused {
        session_id: session.id,
        ip: client.ip,
    };
    notifications::notify(tx, user.into(), &event)?;
    let entry = Entry::by_anonymous(client, Action::SessionRefreshTokenReused)
        .failed()
        .user(user.id);
    audit::record(tx, entry.object("session", session.id.uuid(), None))
}
