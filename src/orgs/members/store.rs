//! The queries on members; `membership` writes the table.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::model::{Member, MemberFilter};
use crate::auth::OrgRole;
use crate::db::Tx;
use crate::db::schema::{memberships, users};
use crate::error::Error;
use crate::values::ids::{OrgId, UserId};
use crate::values::like_pattern;

#[diesel::dsl::auto_type(no_type_alias)]
fn members() -> _ {
    memberships::table.inner_join(users::table).select((
        memberships::id,
        (users::id, users::username, users::nickname, users::avatar_id),
        memberships::role,
        memberships::disabled_services,
        memberships::joined_at,
        memberships::version,
        users::email,
        users::locale,
    ))
}

pub fn find(tx: &mut Tx<'_>, org_id: OrgId, user_id: UserId) -> Result<Option<Member>, Error> {
    Ok(members()
        .filter(memberships::org_id.eq(org_id))
        .filter(memberships::user_id.eq(user_id))
        .first(tx.conn)
        .optional()?)
}

/// The members of an organisation, the one that joined last first.
pub fn list(
    tx: &mut Tx<'_>,
    org_id: OrgId,
    filter: &MemberFilter,
    after: Option<(DateTime<Utc>, UserId)>,
    limit: i64,
) -> Result<Vec<Member>, Error> {
    let mut query = members()
        .filter(memberships::org_id.eq(org_id))
        .order((memberships::joined_at.desc(), memberships::user_id.desc()))
        .limit(limit)
        .into_boxed();
    if let Some(q) = filter.q.as_deref().filter(|q| !q.is_empty()) {
        let pattern = like_pattern(q);
        query = query.filter(
            users::username
                .ilike(pattern.clone())
                .or(users::nickname.ilike(pattern)),
        );
    }
    if let Some(role) = filter.role {
        query = query.filter(memberships::role.eq(role));
    }
    if let Some((joined_at, user_id)) = after {
        query = query.filter(
            memberships::joined_at.lt(joined_at).or(memberships::joined_at
                .eq(joined_at)
                .and(memberships::user_id.lt(user_id))),
        );
    }
    Ok(query.load(tx.conn)?)
}

/// The owners of an organisation whose accounts are not disabled, locked until the transaction ends: none of them is disabled
/// before. The lock is in the order of the ids, and lets other transactions insert rows that refer to the accounts.
pub fn lock_active_owners(tx: &mut Tx<'_>, org_id: OrgId) -> Result<Vec<UserId>, Error> {
    let owners = memberships::table
        .filter(memberships::org_id.eq(org_id))
        .filter(memberships::role.eq(OrgRole::Owner))
        .select(memberships::user_id);
    Ok(users::table
        .filter(users::id.eq_any(owners))
        .filter(users::disabled_at.is_null())
        .order(users::id)
        .select(users::id)
        .for_share()
        .load(tx.conn)?)
}
