//! Queries over the tables of all slices, for the export and the deletion of an account.

use diesel::QueryableByName;
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::{Json, Timestamptz, Uuid};
use serde_json::Value;

use crate::db::Tx;
use crate::db::schema::{memberships, orgs};
use crate::error::Error;
use crate::values::ids::{OrgId, UserId};

#[derive(QueryableByName)]
struct Export {
    #[diesel(sql_type = Json)]
    data: Value,
}

/// Everything stored about a user, without secrets and their hashes.
pub fn export(tx: &mut Tx<'_>, user_id: UserId) -> Result<Value, Error> {
    let export: Export = diesel::sql_query(include_str!("export.sql"))
        .bind::<Uuid, _>(user_id)
        .bind::<Timestamptz, _>(tx.now)
        .get_result(tx.conn)?;
    Ok(export.data)
}

/// The organisations a user is a member of, locked in the order of their ids. Until the end of the transaction the lock blocks
/// changes to their members.
pub fn lock_joined_orgs(tx: &mut Tx<'_>, user_id: UserId) -> Result<Vec<OrgId>, Error> {
    let joined = memberships::table
        .filter(memberships::user_id.eq(user_id))
        .select(memberships::org_id);
    Ok(orgs::table
        .filter(orgs::id.eq_any(joined))
        .order(orgs::id)
        .select(orgs::id)
        .for_no_key_update()
        .load(tx.conn)?)
}

pub fn has_other_members(tx: &mut Tx<'_>, org_id: OrgId, user_id: UserId) -> Result<bool, Error> {
    let others = memberships::table
        .filter(memberships::org_id.eq(org_id))
        .filter(memberships::user_id.ne(user_id));
    Ok(diesel::select(exists(others)).get_result(tx.conn)?)
}
