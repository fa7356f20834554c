//! Queries that gather or delete what all slices hold about a person.

use crate::db::Tx;
use diesel::QueryableByName;
use diesel::dsl::exists;
use diesel::prelude::*;
use serde_json::Value;

use crate::db::schema::{memberships, orgs, users};
use crate::error::Error;
use crate::values::ids::{OrgId, UserId};

#[derive(QueryableByName)]
struct Gathered {
    #[diesel(sql_type = diesel::sql_types::Json)]
    data: Value,
}

/// Everything held about a person, but for secrets (of which only hashes are held).
pub fn gather(tx: &mut Tx<'_>, user_id: UserId) -> Result<Value, Error> {
    let gathered: Gathered = diesel::sql_query(include_str!("export.sql"))
        .bind::<diesel::sql_types::Uuid, _>(user_id)
        .bind::<diesel::sql_types::Timestamptz, _>(tx.now)
        .get_result(tx.conn)?;
    Ok(gathered.data)
}

/// The organisations a person is a member of, locked, in one order for all: who decides about members there comes before
/// or after.
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

/// Whether an organisation has other members, and other owners.
pub fn others(tx: &mut Tx<'_>, org_id: OrgId, user_id: UserId) -> Result<(bool, bool), Error> {
    let members = memberships::table
        .filter(memberships::org_id.eq(org_id))
        .filter(memberships::user_id.ne(user_id));
    Ok(diesel::select((exists(members), exists(members.filter(memberships::role.eq("owner"))))).get_result(tx.conn)?)
}

pub fn delete_user(tx: &mut Tx<'_>, id: UserId) -> Result<(), Error> {
    diesel::delete(users::table.find(id)).execute(tx.conn)?;
    Ok(())
}
