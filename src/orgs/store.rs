//! Every query on organisations.

use std::collections::HashMap;

use crate::db::Tx;
use chrono::{DateTime, Utc};
use diesel::dsl::{count_star, exists};
use diesel::prelude::*;

use super::model::{JoinPolicy, Org};
use crate::db::schema::{memberships, orgs, sessions, users};
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

/// Locks the row against its like, but not against those who merely refer to it: a lock that foreign keys wait for would
/// wait for them in turn.
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

/// Makes an organisation, unless another has the slug.
pub fn insert(tx: &mut Tx<'_>, slug: &str, new: &NewOrg<'_>) -> Result<Option<Org>, Error> {
    Ok(diesel::insert_into(orgs::table)
        .values((
            orgs::id.eq(OrgId::new(tx.now)),
            orgs::name.eq(new.name),
            orgs::slug.eq(slug),
            orgs::description.eq(new.description),
            orgs::join_policy.eq(new.join_policy.as_str()),
            orgs::created_at.eq(tx.now),
            orgs::updated_at.eq(tx.now),
        ))
        .on_conflict(orgs::slug)
        .do_nothing()
        .returning(Org::as_returning())
        .get_result(tx.conn)
        .optional()?)
}

#[derive(AsChangeset)]
#[diesel(table_name = orgs)]
pub struct OrgChange {
    pub name: Option<String>,
    pub slug: Option<String>,
    pub description: Option<Option<String>>,
    pub join_policy: Option<&'static str>,
}

/// Changes an organisation; a slug that is taken breaks `orgs_slug_key`.
pub fn update(tx: &mut Tx<'_>, id: OrgId, change: OrgChange) -> Result<Org, diesel::result::Error> {
    diesel::update(orgs::table.find(id))
        .set((change, orgs::version.eq(orgs::version + 1), orgs::updated_at.eq(tx.now)))
        .returning(Org::as_returning())
        .get_result(tx.conn)
}

/// Shows another logo, or none.
pub fn set_logo(tx: &mut Tx<'_>, id: OrgId, logo: Option<ImageId>) -> Result<(), Error> {
    diesel::update(orgs::table.find(id))
        .set((
            orgs::logo_id.eq(logo),
            orgs::version.eq(orgs::version + 1),
            orgs::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// Ends an organisation, locked before, and all that hangs on it; gives its logo, which nothing shows any more. Sessions
/// and people let go of it first, while it can still be referred to: a log-in holds its person and then refers to the
/// organisation, and must not wait for one who waits for that person.
pub fn delete(tx: &mut Tx<'_>, id: OrgId) -> Result<Option<ImageId>, Error> {
    diesel::update(sessions::table.filter(sessions::org_id.eq(id)))
        .set(sessions::org_id.eq(None::<OrgId>))
        .execute(tx.conn)?;
    diesel::update(users::table.filter(users::last_org_id.eq(id)))
        .set(users::last_org_id.eq(None::<OrgId>))
        .execute(tx.conn)?;
    Ok(diesel::delete(orgs::table.find(id))
        .returning(orgs::logo_id)
        .get_result(tx.conn)?)
}

/// An organisation of somebody's: it, their role in it, and since when.
pub type Joined = (Org, String, DateTime<Utc>);

/// The organisations somebody is a member of, the last joined first; only the one given, if one is.
pub fn list_joined(
    tx: &mut Tx<'_>,
    user_id: UserId,
    only: Option<OrgId>,
    after: Option<(DateTime<Utc>, OrgId)>,
    limit: i64,
) -> Result<Vec<Joined>, Error> {
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

/// Who is there but `except`, with the address and language to write to.
pub fn others(tx: &mut Tx<'_>, id: OrgId, except: UserId) -> Result<Vec<(UserId, String, String)>, Error> {
    Ok(memberships::table
        .inner_join(users::table)
        .filter(memberships::org_id.eq(id))
        .filter(memberships::user_id.ne(except))
        .select((users::id, users::email, users::locale))
        .load(tx.conn)?)
}
