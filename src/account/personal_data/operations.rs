//! Exporting and deleting what is stored about a person.

use serde_json::Value;

use super::store;
use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, Session};
use crate::db::Tx;
use crate::error::{Code, Error};
use crate::images;
use crate::orgs;
use crate::users;
use crate::values::ids::UserId;

pub fn export(tx: &mut Tx<'_>, user_id: UserId) -> Result<Value, Error> {
    store::export(tx, user_id)
}

/// Deletes the caller's account and the organisations that have no other member. The e-mail address can be registered again
/// at once; the username is reserved for 30 days.
///
/// # Errors
/// `last_owner` when the caller is the only owner of an organisation that has other members.
pub fn delete_account(tx: &mut Tx<'_>, caller: &Caller<Session>) -> Result<(), Error> {
    // Organisations are locked before users, as everywhere, so that two members who leave at once don't deadlock.
    for org_id in store::lock_joined_orgs(tx, caller.user_id)? {
        let others = store::find_other_members(tx, org_id, caller.user_id)?;
        if others.has_members && !others.has_owners {
            return Err(Error::new(Code::LastOwner));
        }
        if !others.has_members {
            orgs::delete_locked(tx, org_id)?;
            let entry = Entry::by(caller, Action::OrgDeleted).org(org_id);
            audit::record(tx, entry.object("org", org_id.uuid(), None))?;
        }
    }
    let user = users::lock(tx, caller.user_id)?;
    if let Some(username) = &user.username {
        users::release_username(tx, username, user.id)?;
    }
    users::delete(tx, user.id)?;
    if let Some(avatar_id) = user.avatar_id {
        images::delete(tx, avatar_id)?;
    }
    let entry = Entry::by(caller, Action::AccountDeleted);
    audit::record(tx, entry.object("user", user.id.uuid(), user.name().to_owned()))
}
