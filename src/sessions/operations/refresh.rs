//! Refreshing a session: rotation and reuse detection.

use super::{grant, resolve_org};
use crate::audit::{self, Action, Entry};
use crate::db::Tx;
use crate::error::{Code, Error};
use crate::notifications::{self, Event};
use crate::secret::{ServerSecret, Token};
use crate::sessions::model::{EndReason, Grant, PresentedToken, Session};
use crate::sessions::refresh_token::RefreshToken;
use crate::sessions::store;
use crate::users::{self, User};
use crate::values::ids::{OrgId, SessionId};
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
    let token = RefreshToken::decode(secret, token).ok_or_else(invalid)?;
    let (user, session) = lock_with_user(tx, token.session_id)?;
    if !session.is_live(tx.now) || user.disabled_at.is_some() {
        return Err(invalid());
    }
    let org = resolve_org(tx, user.id, org_id, session.org_id)?;
    match session.classify(token, tx.now) {
        PresentedToken::Current => store::rotate_refresh_token(tx, session.id)?,
        PresentedToken::Repeated => {}
        PresentedToken::Exchanged => {
            end_after_reuse(tx, client, &session, &user)?;
            return Ok(Refreshed::Reused);
        }
        PresentedToken::Unknown => return Err(invalid()),
    }
    let active_org_id = org.as_ref().map(|org| org.id);
    let session = store::record_refresh(tx, session.id, active_org_id)?;
    if org_id.is_some() {
        users::set_last_org(tx, user.id, active_org_id)?;
    }
    let grant = grant(&session, &user, org, Some(session.refresh_token()));
    Ok(Refreshed::Granted(Box::new(grant)))
}

/// A session and its user, both locked: of two parallel refreshes the second sees the changes of the first, and an operation that
/// ends the session locks the account before.
///
/// # Errors
/// `invalid_token` if there is no such session.
pub fn lock_with_user(tx: &mut Tx<'_>, id: SessionId) -> Result<(User, Session), Error> {
    let invalid = || Error::new(Code::InvalidToken);
    let user_id = store::find_user_id(tx, id)?.ok_or_else(invalid)?;
    let user = users::lock(tx, user_id).map_err(|error| error.if_not_found(Code::InvalidToken))?;
    let session = store::lock(tx, id)?.ok_or_else(invalid)?;
    Ok((user, session))
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
