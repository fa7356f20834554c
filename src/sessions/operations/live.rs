//! Listing and re-authenticating live sessions, and switching their organisation.

use super::{grant, resolve_org};
use crate::audit::{self, Action, Entry};
use crate::auth::Caller;
use crate::db::Tx;
use crate::error::{Code, Error};
use crate::orgs::membership;
use crate::secret::ServerSecret;
use crate::sessions::model::{Grant, Session};
use crate::sessions::store;
use crate::users;
use crate::values::ids::{OrgId, SessionId, UserId};
use crate::values::{Cursors, Page, PageQuery};

/// The live sessions of a user, the newest first.
///
/// # Errors
/// `invalid_cursor`.
pub fn list(
    tx: &mut Tx<'_>,
    secret: &ServerSecret,
    user_id: UserId,
    PageQuery { limit, cursor }: PageQuery,
) -> Result<Page<Session>, Error> {
    let cursors = Cursors::new(secret, format!("sessions of {user_id}"));
    let after = cursors.read(cursor.as_deref())?;
    let rows = store::list_live(tx, user_id, after, limit + 1)?;
    cursors.page(rows, limit, |session| session.id)
}

/// Those of the sessions that are live and whose user is not disabled.
pub fn find_live(tx: &mut Tx<'_>, ids: &[SessionId]) -> Result<Vec<SessionId>, Error> {
    let sessions = store::list_of_enabled_users(tx, ids)?;
    Ok(sessions
        .into_iter()
        .filter(|session| session.is_live(tx.now))
        .map(|session| session.id)
        .collect())
}

/// Records that the user has entered the password again.
///
/// # Errors
/// `invalid_token` when the session has ended in the meantime.
pub fn reauthenticate<P>(tx: &mut Tx<'_>, caller: &Caller<P>, id: SessionId) -> Result<Grant, Error> {
    let session = store::set_authenticated(tx, id)?.ok_or_else(|| Error::new(Code::InvalidToken))?;
    let user = users::find(tx, caller.user_id)?;
    let org = resolve_org(tx, user.id, None, caller.active_org.map(|org| org.org_id))?;
    let entry = Entry::by(caller, Action::SessionReauthenticated);
    audit::record(tx, entry.object("session", id.uuid(), None))?;
    Ok(grant(&session, &user, org, None))
}

/// Switches a session to another organisation, in which the next login starts as well.
///
/// # Errors
/// `not_found` when the caller is not a member; `invalid_token` when the session has ended in the meantime.
pub fn switch_org<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    session_id: SessionId,
    org_id: OrgId,
) -> Result<Grant, Error> {
    let org = membership::require(tx, org_id, caller.user_id)?.summary();
    let session = store::set_org(tx, session_id, Some(org_id))?.ok_or_else(|| Error::new(Code::InvalidToken))?;
    users::set_last_org(tx, caller.user_id, Some(org_id))?;
    let user = users::find(tx, caller.user_id)?;
    let entry =
        Entry::by(caller, Action::SessionOrgSwitched)
            .org(org_id)
            .object("org", org_id.uuid(), org.name.clone());
    audit::record(tx, entry)?;
    Ok(grant(&session, &user, Some(org), None))
}
