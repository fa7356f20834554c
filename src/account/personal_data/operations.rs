//! Exporting and deleting what is stored about a person.

use super::store::{self, ExportedAccount};
use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, PlatformRole, Session};
use crate::db::Tx;
use crate::error::{Code, Error};
use crate::images;
use crate::orgs::{self, invitations, membership};
use crate::users::{self, User};
use crate::values::ids::UserId;

/// Begins an export: records it, and reads the account.
pub fn begin_export(tx: &mut Tx<'_>, caller: &Caller<Session>) -> Result<ExportedAccount, Error> {
    audit::record(tx, Entry::by(caller, Action::AccountExported))?;
    store::export_account(tx, caller.user_id)
}

/// For [`Caller::locking`]: locks the caller's organisations, and returns the accounts of all who decide whether the caller
/// can be replaced, and of those whose next login would start in an organisation that is deleted too.
pub fn lock_for_deletion(tx: &mut Tx<'_>, user_id: UserId, role: PlatformRole) -> Result<Vec<UserId>, Error> {
    let mut ids = Vec::new();
    for org_id in store::lock_joined_orgs(tx, user_id)? {
        if store::has_other_members(tx, org_id, user_id)? {
            ids.extend(membership::list_owner_ids(tx, org_id)?);
        } else {
            ids.extend(orgs::lock_for_deletion(tx, org_id)?);
        }
    }
    if role == PlatformRole::Admin {
        ids.extend(users::list_admin_ids(tx)?);
    }
    Ok(ids)
}

/// Deletes the caller's account and the organisations that have no other member. The e-mail address can be registered again
/// at once; the username is reserved for 30 days.
///
/// # Errors
/// `last_owner` when no other owner can act in an organisation that the caller owns and that has other members, and when
/// the caller is the last platform administrator who can act.
pub fn delete_account(tx: &mut Tx<'_>, caller: &Caller<Session>) -> Result<(), Error> {
    let mut owners_by_org = Vec::new();
    for org_id in store::lock_joined_orgs(tx, caller.user_id)? {
        if store::has_other_members(tx, org_id, caller.user_id)? {
            let owners = membership::list_owner_ids(tx, org_id)?;
            if owners.contains(&caller.user_id) {
                owners_by_org.push(owners);
            }
        } else {
            orgs::delete_locked(tx, org_id)?;
            let entry = Entry::by(caller, Action::OrgDeleted).org(org_id);
            audit::record(tx, entry.object("org", org_id.uuid(), None))?;
        }
    }
    let user = lock_replaceable(tx, caller, &owners_by_org)?;
    if let Some(username) = &user.username {
        users::release_username(tx, username, user.id)?;
    }
    let revoked = invitations::revoke_all_by(tx, user.id)?;
    users::delete(tx, user.id)?;
    if let Some(avatar_id) = user.avatar_id {
        images::delete(tx, avatar_id)?;
    }
    let entry = Entry::by(caller, Action::AccountDeleted).detail("invitations_revoked", revoked);
    audit::record(
        tx,
        entry.object("user", user.id.uuid(), user.name().map(ToOwned::to_owned)),
    )
}

/// The caller's account, locked together with the accounts of those who remain, so that none of them is disabled or demoted
/// before the commit.
///
/// # Errors
/// As [`delete_account`].
fn lock_replaceable(tx: &mut Tx<'_>, caller: &Caller<Session>, owners_by_org: &[Vec<UserId>]) -> Result<User, Error> {
    let mut ids = owners_by_org.concat();
    ids.push(caller.user_id);
    if caller.role == PlatformRole::Admin {
        ids.extend(users::list_admin_ids(tx)?);
    }
    let (callers, others): (Vec<User>, Vec<User>) = users::lock_all(tx, &ids)?
        .into_iter()
        .partition(|user| user.id == caller.user_id);
    let user = callers.into_iter().next().ok_or_else(Error::not_found)?;
    let can_act = || others.iter().filter(|other| other.can_act());
    if !owners_by_org
        .iter()
        .all(|owners| can_act().any(|other| owners.contains(&other.id)))
    {
        return Err(Error::new(Code::LastOwner));
    }
    if user.role == PlatformRole::Admin && !can_act().any(|other| other.role == PlatformRole::Admin) {
        let detail = "You are the last platform administrator. Make another user an administrator first.";
        return Err(Error::with_detail(Code::LastOwner, detail));
    }
    Ok(user)
}
