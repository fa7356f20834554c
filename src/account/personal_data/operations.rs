//! What can be done with everything held about a person.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use serde_json::Value;

use super::store;
use crate::audit::{self, Entry};
use crate::auth::{Caller, Session};
use crate::error::{Code, Error};
use crate::images;
use crate::orgs;
use crate::users;
use crate::values::ids::UserId;

/// Everything held about a person.
pub fn export(connection: &mut PgConnection, now: DateTime<Utc>, user_id: UserId) -> Result<Value, Error> {
    store::gather(connection, now, user_id)
}

/// Deletes the caller's account, and the organisations that are theirs alone. The address is free at once; the username
/// rests.
///
/// # Errors
/// `last_owner` while they are the only owner of an organisation that has other members.
pub fn delete_account(connection: &mut PgConnection, caller: &Caller<Session>) -> Result<(), Error> {
    let now = caller.now();
    // Organisations first, as everywhere: two who leave one at once wait for each other here.
    for org_id in store::lock_joined_orgs(connection, caller.user_id)? {
        match store::others(connection, org_id, caller.user_id)? {
            (true, false) => return Err(Error::new(Code::LastOwner)),
            (false, _) => {
                orgs::end(connection, org_id)?;
                let entry = Entry::by(caller, "org.deleted").org(org_id);
                audit::record(connection, entry.object("org", org_id.uuid(), None))?;
            }
            (true, true) => {}
        }
    }
    let user = users::lock(connection, caller.user_id)?;
    if let Some(username) = &user.username {
        users::release_username(connection, now, username, user.id)?;
    }
    store::delete_user(connection, user.id)?;
    if let Some(avatar_id) = user.avatar_id {
        images::delete(connection, avatar_id)?;
    }
    audit::record(
        connection,
        Entry::by(caller, "account.deleted").object("user", user.id.uuid(), user.name().to_owned()),
    )
}
