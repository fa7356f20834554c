//! What administrators can do.

use crate::db::Tx;

use super::model::UserRow;
use super::store;
use crate::audit::{self, Action, Entry};
use crate::auth::{Admin, Caller, PlatformRole};
use crate::error::{Code, Error};
use crate::notifications::{self, Announcement};
use crate::sessions::{self, EndReason};
use crate::values::Precondition;
use crate::values::ids::UserId;

/// A person.
///
/// # Errors
/// `not_found`.
pub fn find(tx: &mut Tx<'_>, id: UserId) -> Result<UserRow, Error> {
    store::find(tx, id)?.ok_or_else(Error::not_found)
}

/// A person whom the caller may change: anybody but themselves.
///
/// # Errors
/// `not_found`; `forbidden_role`.
pub fn find_other(tx: &mut Tx<'_>, caller: &Caller<Admin>, id: UserId) -> Result<UserRow, Error> {
    let user = find(tx, id)?;
    if id == caller.user_id {
        let detail = "Administrators cannot change their own role, nor disable themselves.";
        return Err(Error::with_detail(Code::ForbiddenRole, detail));
    }
    Ok(user)
}

/// What can be changed of a person; what is none stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changes {
    pub role: Option<PlatformRole>,
    pub disabled: Option<bool>,
}

/// Changes a person's role, disables them, which ends their sessions, or enables them again.
///
/// # Errors
/// `not_found`; `forbidden_role` when the caller is no administrator any more; `precondition_failed`.
pub fn update(
    tx: &mut Tx<'_>,
    caller: &Caller<Admin>,
    id: UserId,
    precondition: &Precondition,
    changes: Changes,
) -> Result<UserRow, Error> {
    let locked = store::lock(tx, &[caller.user_id, id])?;
    let still_admin = |row: &&UserRow| row.role() == PlatformRole::Admin && row.disabled_at.is_none();
    if !locked.iter().filter(still_admin).any(|row| row.id == caller.user_id) {
        return Err(Error::new(Code::ForbiddenRole));
    }
    let user = locked
        .into_iter()
        .find(|row| row.id == id)
        .ok_or_else(Error::not_found)?;
    precondition.check(user.version())?;
    let role = changes.role.filter(|role| *role != user.role());
    let disabled = changes
        .disabled
        .filter(|disabled| *disabled != user.disabled_at.is_some());
    if role.is_none() && disabled.is_none() {
        return Ok(user);
    }
    let disabled_at = match disabled {
        Some(disabled) => disabled.then(|| caller.now()),
        None => user.disabled_at,
    };
    let changed = store::set(tx, id, role.unwrap_or_else(|| user.role()), disabled_at)?;
    if let Some(role) = role {
        let entry = entry(caller, Action::UserRoleChanged, &user)
            .detail("from", user.role().as_str())
            .detail("to", role.as_str());
        audit::record(tx, entry)?;
    }
    match disabled {
        Some(true) => {
            let ended = sessions::end_all(tx, id, EndReason::Disabled)?;
            audit::record(
                tx,
                entry(caller, Action::UserDisabled, &user).detail("sessions_ended", ended),
            )?;
        }
        Some(false) => audit::record(tx, entry(caller, Action::UserEnabled, &user))?,
        None => {}
    }
    Ok(changed)
}

fn entry(caller: &Caller<Admin>, action: Action, user: &UserRow) -> Entry {
    Entry::by(caller, action)
        .user(user.id)
        .object("user", user.id.uuid(), user.name().to_owned())
}

/// Ends all sessions of a person, one's own included.
///
/// # Errors
/// `not_found`.
pub fn revoke_sessions(tx: &mut Tx<'_>, caller: &Caller<Admin>, id: UserId) -> Result<(), Error> {
    let user = find(tx, id)?;
    let ended = sessions::end_all(tx, id, EndReason::EndedByAdmin)?;
    let entry = entry(caller, Action::UserSessionsRevoked, &user);
    audit::record(tx, entry.detail("sessions_ended", ended))
}

/// Tells everybody, or all members of an organisation; answers how many that are.
///
/// # Errors
/// `not_found` for an organisation that there is not.
pub fn announce(tx: &mut Tx<'_>, caller: &Caller<Admin>, announcement: &Announcement) -> Result<usize, Error> {
    if let Some(org_id) = announcement.org_id
        && !store::has_org(tx, org_id)?
    {
        return Err(Error::not_found());
    }
    let told = notifications::announce(tx, announcement)?;
    let entry = Entry::by(caller, Action::AnnouncementSent)
        .user(None)
        .org(announcement.org_id)
        .object("announcement", None, announcement.title.clone())
        .detail("recipients", told);
    audit::record(tx, entry)?;
    Ok(told)
}
