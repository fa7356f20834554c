//! Every query on the table of organisations.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::dsl::{count_star, exists};
use diesel::prelude::*;

use super::model::{JoinPolicy, Org};
use crate::auth::OrgRole;
use crate::db::Tx;
use crate::db::schema::{memberships, orgs};
use crate::error::Error;
use crate::values::ids::{ImageId, OrgId, UserId};

pub fn find(tx: &mut Tx<'_>, id: OrgId) -> Result<Option<Org>, Error> {
    Ok(orgs::table
        .find(id)
        .select(Org::as_select())
        .first(tx.conn)
        .optional()?)
}

pub fn find_by_slug(tx: &mut Tx<'_>, slug: &str) -> Result<Option<Org>, Error> {
    Ok(orgs::table
        .filter(orgs::slug.eq(slug))
        .select(Org::as_select())
        .first(tx.conn)
        .optional()?)
}

/// Locks the row; false when there is none. `FOR NO KEY UPDATE` lets other transactions insert rows that refer to it: their
/// foreign key checks would wait for a `FOR UPDATE`, while this transaction may wait for a row that they hold.
pub fn lock(tx: &mut Tx<'_>, id: OrgId) -> Result<bool, Error> {
    let found: Option<OrgId> = orgs::table
        .find(id)
        .select(orgs::id)
        .for_no_key_update()
        .first(tx.conn)
        .optional()?;
    Ok(found.is_some())
}

pub fn has_slug(tx: &mut Tx<'_>, slug: &str) -> Result<bool, Error> {
    Ok(diesel::select(exists(orgs::table.filter(orgs::slug.eq(slug)))).get_result(tx.conn)?)
}

pub struct NewOrg<'a> {
    pub name: &'a str,
    pub description: Option<&'a str>,
    pub join_policy: JoinPolicy,
}

/// Inserts an organisation; `None` when another one has the slug.
pub fn insert(tx: &mut Tx<'_>, slug: &str, new: &NewOrg<'_>) -> Result<Option<Org>, Error> {
    Ok(diesel::insert_into(orgs::table)
        .values((
            orgs::id.eq(OrgId::new(tx.now)),
            orgs::name.eq(new.name),
            orgs::slug.eq(slug),
            orgs::description.eq(new.description),
            orgs::join_policy.eq(new.join_policy),
            orgs::created_at.eq(tx.now),
            orgs::updated_at.eq(tx.now),
        ))
        .on_conflict(orgs::slug)
        .do_nothing()
        .returning(Org::as_returning())
        .get_result(tx.conn)
        .optional()?)
}

/// `None` leaves a column as it is.
#[derive(AsChangeset)]
#[diesel(table_name = orgs)]
pub struct OrgChange {
    pub name: Option<String>,
    pub slug: Option<String>,
    pub description: Option<Option<String>>,
    pub join_policy: Option<JoinPolicy>,
}

/// A slug that another organisation has violates `orgs_slug_key`.
pub fn update(tx: &mut Tx<'_>, id: OrgId, change: OrgChange) -> Result<Org, diesel::result::Error> {
    diesel::update(orgs::table.find(id))
        .set((change, orgs::version.eq(orgs::version + 1), orgs::updated_at.eq(tx.now)))
        .returning(Org::as_returning())
        .get_result(tx.conn)
}

pub fn set_logo(tx: &mut Tx<'_>, id: OrgId, logo_id: Option<ImageId>) -> Result<(), Error> {
    diesel::update(orgs::table.find(id))
        .set((
            orgs::logo_id.eq(logo_id),
            orgs::version.eq(orgs::version + 1),
            orgs::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// Deletes an organisation and, by foreign keys, its memberships, invitations, requests to join and API keys. Returns the id
/// of its logo, which nothing refers to any more.
pub fn delete(tx: &mut Tx<'_>, id: OrgId) -> Result<Option<ImageId>, Error> {
    Ok(diesel::delete(orgs::table.find(id))
        .returning(orgs::logo_id)
        .get_result(tx.conn)?)
}

/// An organisation that a user is a member of.
#[derive(Queryable)]
pub struct JoinedOrg {
    pub org: Org,
    pub role: OrgRole,
    pub joined_at: DateTime<Utc>,
}

/// The organisations of a user, the one joined last first; only `only` if that is given.
pub fn list_joined(
    tx: &mut Tx<'_>,
    user_id: UserId,
    only: Option<OrgId>,
    after: Option<(DateTime<Utc>, OrgId)>,
    limit: i64,
) -> Result<Vec<JoinedOrg>, Error> {
    let mut query = memberships::table
        .inner_join(orgs::table)
        .filter(memberships::user_id.eq(user_id))
        .select((Org::as_select(), memberships::role, memberships::joined_at))
        .order((memberships::joined_at.desc(), memberships::org_id.desc()))
        .limit(limit)
        .into_boxed();
    if let Some(only) = only {
        query = query.filter(memberships::org_id.eq(only));
    }
    if let Some((joined_at, org_id)) = after {
        query = query.filter(
            memberships::joined_at
                .lt(joined_at)
                .or(memberships::joined_at.eq(joined_at).and(memberships::org_id.lt(org_id))),
        );
    }
    Ok(query.load(tx.conn)?)
}

pub fn count_members(tx: &mut Tx<'_>, ids: &[OrgId]) -> Result<HashMap<OrgId, i64>, Error> {
    let counts: Vec<(OrgId, i64)> = memberships::table
        .filter(memberships::org_id.eq_any(ids))
        .group_by(memberships::org_id)
        .select((memberships::org_id, count_star()))
        .load(tx.conn)?;
    Ok(counts.into_iter().collect())
}
