//! What can be done with everything held about a person.

use crate::db::Tx;
use serde_json::Value;

use super::store;
use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, Session};
use crate::error::{Code, Error};
use crate::images;
use crate::orgs;
use crate::users;
use crate::values::ids::UserId;

/// Everything held about a person.
pub fn export(tx: &mut Tx<'_>, user_id: UserId) -> Result<Value, Error> {
    store::gather(tx, user_id)
}

/// Deletes the caller's account, and the organisations that are theirs alone. The address is free at once; the username
/// rests.
///
/// # Errors
/// `last_owner` while they are the only owner of an organisation that has other members.
pub fn delete_account(tx: &mut Tx<'_>, caller: &Caller<Session>) -> Result<(), Error> {
    // Organisations first, as everywhere: two who leave one at once wait for each other here.
    for org_id in store::lock_joined_orgs(tx, caller.user_id)? {
        match store::others(tx, org_id, caller.user_id)? {
            (true, false) => return Err(Error::new(Code::LastOwner)),
            (false, _) => {
                orgs::delete_locked(tx, org_id)?;
                let entry = Entry::by(caller, Action::OrgDeleted).org(org_id);
                audit::record(tx, entry.object("org", org_id.uuid(), None))?;
            }
            (true, true) => {}
        }
    }
    let user = users::lock(tx, caller.user_id)?;
    if let Some(username) = &user.username {
        users::release_username(tx, username, user.id)?;
    }
    store::delete_user(tx, user.id)?;
    if let Some(avatar_id) = user.avatar_id {
        images::delete(tx, avatar_id)?;
    }
    audit::record(
        tx,
        Entry::by(caller, Action::AccountDeleted).object("user", user.id.uuid(), user.name().to_owned()),
    )
}
