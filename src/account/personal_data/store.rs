//! Queries over the tables of all slices, for the export and the deletion of an account.

use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Timestamptz};
use uuid::Uuid;

use crate::db::Tx;
use crate::db::schema::{memberships, orgs};
use crate::error::Error;
use crate::values::ids::{OrgId, UserId};

/// The list of everything of one kind, which is exported in batches. All statements have the same parameters: the user, the
/// time of the export, the instant and the id of the last item of the batch before, and the length of a batch.
pub struct Section {
    /// The field of the export.
    pub name: &'static str,
    query: &'static str,
}

macro_rules! sections {
    ($($name:literal,)+) => {
        /// Without secrets and their hashes.
        pub const SECTIONS: &[Section] = &[
            $(Section { name: $name, query: include_str!(concat!("export/", $name, ".sql")) },)+
        ];
    };
}

sections! {
    "released_usernames",
    "email_changes",
    "sessions",
    "organisations",
    "api_keys",
    "invitations",
    "join_requests",
    "notifications",
    "activity",
}

/// The account itself and its preferences, as JSON.
#[derive(QueryableByName)]
pub struct ExportedAccount {
    #[diesel(sql_type = Text)]
    pub account: String,
    #[diesel(sql_type = Text)]
    pub mail_opt_outs: String,
}

/// An item of a section, with the key by which the section is sorted.
#[derive(QueryableByName)]
pub struct ExportedItem {
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    pub id: Uuid,
    /// JSON.
    #[diesel(sql_type = Text)]
    pub item: String,
}

pub fn export_account(tx: &mut Tx<'_>, user_id: UserId) -> Result<ExportedAccount, Error> {
    let account = diesel::sql_query(include_str!("export/account.sql")).bind::<diesel::sql_types::Uuid, _>(user_id);
    account.get_result(tx.conn).optional()?.ok_or_else(Error::not_found)
}

/// The items of a section that were created until `tx.now` and follow the one with the key `after`.
pub fn export_batch(
    tx: &mut Tx<'_>,
    section: &Section,
    user_id: UserId,
    (at, id): (DateTime<Utc>, Uuid),
    limit: i64,
) -> Result<Vec<ExportedItem>, Error> {
    Ok(diesel::sql_query(section.query)
        .bind::<diesel::sql_types::Uuid, _>(user_id)
        .bind::<Timestamptz, _>(tx.now)
        .bind::<Timestamptz, _>(at)
        .bind::<diesel::sql_types::Uuid, _>(id)
        .bind::<BigInt, _>(limit)
        .load(tx.conn)?)
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
