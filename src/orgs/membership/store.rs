//! Every write to the table of memberships, and the queries that several slices need.

use diesel::prelude::*;

use super::model::{Contact, Membership};
use crate::auth::OrgRole;
use crate::db::Tx;
use crate::db::schema::{memberships, orgs, users};
use crate::error::{Code, Error};
use crate::values::ids::{MembershipId, OrgId, UserId};

pub fn find(tx: &mut Tx<'_>, org_id: OrgId, user_id: UserId) -> Result<Option<Membership>, Error> {
    Ok(memberships::table
        .inner_join(orgs::table)
        .filter(memberships::org_id.eq(org_id))
        .filter(memberships::user_id.eq(user_id))
        .select((
            memberships::id,
            memberships::org_id,
            orgs::name,
            orgs::slug,
            memberships::role,
            memberships::disabled_services,
        ))
        .first(tx.conn)
        .optional()?)
}

/// Keeps a membership, if there is one, from being changed or ended before the end of the transaction.
pub fn lock(tx: &mut Tx<'_>, org_id: OrgId, user_id: UserId) -> Result<(), Error> {
    memberships::table
        .filter(memberships::org_id.eq(org_id))
        .filter(memberships::user_id.eq(user_id))
        .select(memberships::id)
        .for_share()
        .execute(tx.conn)?;
    Ok(())
}

/// # Errors
/// `already_member`.
pub fn insert(tx: &mut Tx<'_>, org_id: OrgId, user_id: UserId, role: OrgRole) -> Result<MembershipId, Error> {
    let id = MembershipId::new(tx.now);
    let inserted = diesel::insert_into(memberships::table)
        .values((
            memberships::id.eq(id),
            memberships::org_id.eq(org_id),
            memberships::user_id.eq(user_id),
            memberships::role.eq(role),
            memberships::joined_at.eq(tx.now),
        ))
        .on_conflict((memberships::org_id, memberships::user_id))
        .do_nothing()
        .execute(tx.conn)?;
    if inserted == 0 {
        return Err(Error::new(Code::AlreadyMember));
    }
    Ok(id)
}

/// `None` leaves a column as it is.
#[derive(AsChangeset, Default)]
#[diesel(table_name = memberships)]
pub struct MembershipChange {
    pub role: Option<OrgRole>,
    pub disabled_services: Option<Vec<String>>,
}

pub fn update(tx: &mut Tx<'_>, id: MembershipId, change: MembershipChange) -> Result<(), Error> {
    diesel::update(memberships::table.find(id))
        .set((change, memberships::version.eq(memberships::version + 1)))
        .execute(tx.conn)?;
    Ok(())
}

pub fn delete(tx: &mut Tx<'_>, id: MembershipId) -> Result<(), Error> {
    diesel::delete(memberships::table.find(id)).execute(tx.conn)?;
    Ok(())
}

#[diesel::dsl::auto_type(no_type_alias)]
fn contacts() -> _ {
    memberships::table
        .inner_join(users::table)
        .select((users::id, users::email, users::locale))
}

/// The owners and admins of an organisation. In the order of their ids, as [`list_others`]: two transactions that merge notices
/// to the same people (`notifications/email/outbox/merge.rs`) then don't deadlock.
pub fn list_admins(tx: &mut Tx<'_>, org_id: OrgId) -> Result<Vec<Contact>, Error> {
    Ok(contacts()
        .filter(memberships::org_id.eq(org_id))
        .filter(memberships::role.ne(OrgRole::Member))
        .order(memberships::user_id)
        .load(tx.conn)?)
}

/// The members of an organisation except one.
pub fn list_others(tx: &mut Tx<'_>, org_id: OrgId, except: UserId) -> Result<Vec<Contact>, Error> {
    Ok(contacts()
        .filter(memberships::org_id.eq(org_id))
        .filter(memberships::user_id.ne(except))
        .order(memberships::user_id)
        .load(tx.conn)?)
}

/// The number of organisations that a user owns.
pub fn count_owned(tx: &mut Tx<'_>, user_id: UserId) -> Result<i64, Error> {
    Ok(memberships::table
        .filter(memberships::user_id.eq(user_id))
        .filter(memberships::role.eq(OrgRole::Owner))
        .count()
        .get_result(tx.conn)?)
}

/// The number of members of an organisation.
pub fn count(tx: &mut Tx<'_>, org_id: OrgId) -> Result<i64, Error> {
    let members = memberships::table.filter(memberships::org_id.eq(org_id));
    Ok(members.count().get_result(tx.conn)?)
}

pub fn list_owner_ids(tx: &mut Tx<'_>, org_id: OrgId) -> Result<Vec<UserId>, Error> {
    Ok(memberships::table
        .filter(memberships::org_id.eq(org_id))
        .filter(memberships::role.eq(OrgRole::Owner))
        .select(memberships::user_id)
        .load(tx.conn)?)
}
