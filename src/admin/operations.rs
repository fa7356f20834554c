//! Managing accounts and sending announcements.

use chrono::{DateTime, Utc};

use super::model::{self, Filter};
use super::store;
use crate::audit::{self, Action, Entry};
use crate::auth::{Admin, Caller, PlatformRole};
use crate::db::Tx;
use crate::error::{Code, Error};
use crate::notifications::{self, Announcement};
use crate::orgs::invitations;
use crate::sessions::{self, EndReason};
use crate::users::{self, User};
use crate::values::Precondition;
use crate::values::ids::UserId;

/// Accounts, newest first, that follow the one with the key `after`.
pub fn list(
    tx: &mut Tx<'_>,
    filter: &Filter,
    after: Option<(DateTime<Utc>, UserId)>,
    limit: i64,
) -> Result<Vec<User>, Error> {
    store::list(tx, filter, after, limit)
}

/// # Errors
/// `not_found`; `forbidden_role` for the caller's own account.
pub fn require_changeable(tx: &mut Tx<'_>, caller: &Caller<Admin>, id: UserId) -> Result<(), Error> {
    users::find(tx, id)?;
    if id == caller.user_id {
        let detail = "Platform admins cannot change their own role or disable their own account.";
        return Err(Error::with_detail(Code::ForbiddenRole, detail));
    }
    Ok(())
}

/// The fields of `PATCH /admin/users/{user_id}`; `None` keeps a field.
#[derive(Clone, Copy, Debug, Default)]
pub struct UserPatch {
    pub role: Option<PlatformRole>,
    pub disabled: Option<bool>,
}

/// Changes the role of a user, disables the account, which ends all its sessions, or enables it again.
///
/// # Errors
/// `not_found`; `precondition_failed`.
pub fn update(
    tx: &mut Tx<'_>,
    caller: &Caller<Admin>,
    id: UserId,
    precondition: &Precondition,
    patch: UserPatch,
) -> Result<User, Error> {
    let user = users::lock(tx, id)?;
    precondition.check(model::version(&user))?;
    let new_role = patch.role.filter(|role| *role != user.role);
    let new_disabled = patch
        .disabled
        .filter(|disabled| *disabled != user.disabled_at.is_some());
    if new_role.is_none() && new_disabled.is_none() {
        return Ok(user);
    }
    let disabled_at = match new_disabled {
        Some(disabled) => disabled.then_some(tx.now),
        None => user.disabled_at,
    };
    let updated = users::set_access(tx, id, new_role.unwrap_or(user.role), disabled_at)?;
    if let Some(role) = new_role {
        let entry = entry(caller, Action::UserRoleChanged, &user)
            .detail("from", user.role.as_str())
            .detail("to", role.as_str());
        audit::record(tx, entry)?;
    }
    match new_disabled {
        Some(true) => {
            let ended = sessions::end_all(tx, id, EndReason::Disabled)?;
            let revoked = invitations::revoke_all_by(tx, id)?;
            let entry = entry(caller, Action::UserDisabled, &user)
                .detail("sessions_ended", ended)
                .detail("invitations_revoked", revoked);
            audit::record(tx, entry)?;
        }
        Some(false) => audit::record(tx, entry(caller, Action::UserEnabled, &user))?,
        None => {}
    }
    Ok(updated)
}

fn entry(caller: &Caller<Admin>, action: Action, user: &User) -> Entry {
    Entry::by(caller, action)
        .user(user.id)
        .object("user", user.id.uuid(), user.name().map(ToOwned::to_owned))
}

/// Ends all sessions of a user. Platform admins may end their own.
///
/// # Errors
/// `not_found`.
pub fn revoke_sessions(tx: &mut Tx<'_>, caller: &Caller<Admin>, id: UserId) -> Result<(), Error> {
    let user = users::find(tx, id)?;
    let ended = sessions::end_all(tx, id, EndReason::EndedByAdmin)?;
    let entry = entry(caller, Action::UserSessionsRevoked, &user);
    audit::record(tx, entry.detail("sessions_ended", ended))
}

/// Sends an announcement to all users or to the members of an organisation, and returns the number of recipients.
///
/// # Errors
/// `not_found` for an unknown organisation.
pub fn announce(tx: &mut Tx<'_>, caller: &Caller<Admin>, announcement: &Announcement) -> Result<usize, Error> {
    if let Some(org_id) = announcement.org_id
        && !store::has_org(tx, org_id)?
    {
        return Err(Error::not_found());
    }
    let recipients = notifications::announce(tx, announcement)?;
    let entry = Entry::by(caller, Action::AnnouncementSent)
        .user(None)
        .org(announcement.org_id)
        .object("announcement", None, announcement.title.clone())
        .detail("recipients", recipients);
    audit::record(tx, entry)?;
    Ok(recipients)
}
