//! Every query on members; and those by which the beginning or end of a stay settles invitations and requests to join.

use crate::db::Tx;
use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::model::Member;
use crate::auth::OrgRole;
use crate::db::schema::{invitations, join_requests, memberships, users};
use crate::error::Error;
use crate::values::ids::{InvitationId, JoinRequestId, MembershipId, OrgId, UserId};

/// Members with who they are.
#[diesel::dsl::auto_type(no_type_alias)]
fn shown() -> _ {
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
    Ok(shown()
        .filter(memberships::org_id.eq(org_id))
        .filter(memberships::user_id.eq(user_id))
        .first(tx.conn)
        .optional()?)
}

/// Which members are wanted.
pub struct Filter<'a> {
    /// Part of the username or nickname.
    pub q: Option<&'a str>,
    pub role: Option<OrgRole>,
}

/// The last joined first.
pub fn list(
    tx: &mut Tx<'_>,
    org_id: OrgId,
    filter: &Filter<'_>,
    after: Option<(DateTime<Utc>, UserId)>,
    limit: i64,
) -> Result<Vec<Member>, Error> {
    let mut query = shown()
        .filter(memberships::org_id.eq(org_id))
        .order((memberships::joined_at.desc(), memberships::user_id.desc()))
        .limit(limit)
        .into_boxed();
    if let Some(q) = filter.q {
        let pattern = containing(q);
        query = query.filter(
            users::username
                .ilike(pattern.clone())
                .or(users::nickname.ilike(pattern)),
        );
    }
    if let Some(role) = filter.role {
        query = query.filter(memberships::role.eq(role.as_str()));
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

/// The pattern of texts that contain `text`, taken literally.
fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '\\' | '%' | '_') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// Everybody there whose role is at least `Admin`.
pub fn list_administrators(tx: &mut Tx<'_>, org_id: OrgId) -> Result<Vec<Member>, Error> {
    Ok(shown()
        .filter(memberships::org_id.eq(org_id))
        .filter(memberships::role.ne(OrgRole::Member.as_str()))
        .order(memberships::joined_at)
        .load(tx.conn)?)
}

pub fn count_owners(tx: &mut Tx<'_>, org_id: OrgId) -> Result<i64, Error> {
    Ok(memberships::table
        .filter(memberships::org_id.eq(org_id))
        .filter(memberships::role.eq(OrgRole::Owner.as_str()))
        .count()
        .get_result(tx.conn)?)
}

#[derive(AsChangeset)]
#[diesel(table_name = memberships)]
pub struct MemberChange {
    pub role: Option<&'static str>,
    pub disabled_services: Option<Vec<String>>,
}

pub fn update(tx: &mut Tx<'_>, id: MembershipId, change: MemberChange) -> Result<(), Error> {
    diesel::update(memberships::table.find(id))
        .set((change, memberships::version.eq(memberships::version + 1)))
        .execute(tx.conn)?;
    Ok(())
}

pub fn delete(tx: &mut Tx<'_>, id: MembershipId) -> Result<(), Error> {
    diesel::delete(memberships::table.find(id)).execute(tx.conn)?;
    Ok(())
}

/// Accepts the pending invitation of an address, if there is one.
pub fn accept_invitation(
    tx: &mut Tx<'_>,
    org_id: OrgId,
    email: &str,
    user_id: UserId,
) -> Result<Option<InvitationId>, Error> {
    let pending = invitations::table
        .filter(invitations::org_id.eq(org_id))
        .filter(invitations::email.eq(email))
        .filter(invitations::accepted_at.is_null())
        .filter(invitations::declined_at.is_null())
        .filter(invitations::revoked_at.is_null())
        .filter(invitations::expires_at.gt(tx.now));
    Ok(diesel::update(pending)
        .set((
            invitations::accepted_at.eq(tx.now),
            invitations::accepted_by.eq(user_id),
        ))
        .returning(invitations::id)
        .get_result(tx.conn)
        .optional()?)
}

/// Approves the pending request of a person, if there is one.
pub fn approve_request(
    tx: &mut Tx<'_>,
    org_id: OrgId,
    user_id: UserId,
    decided_by: Option<UserId>,
) -> Result<Option<JoinRequestId>, Error> {
    let pending = join_requests::table
        .filter(join_requests::org_id.eq(org_id))
        .filter(join_requests::user_id.eq(user_id))
        .filter(join_requests::approved_at.is_null())
        .filter(join_requests::rejected_at.is_null())
        .filter(join_requests::withdrawn_at.is_null());
    Ok(diesel::update(pending)
        .set((
            join_requests::approved_at.eq(tx.now),
            join_requests::decided_by.eq(decided_by),
        ))
        .returning(join_requests::id)
        .get_result(tx.conn)
        .optional()?)
}

/// Takes back somebody's pending invitations into any of `roles`.
pub fn revoke_invitations(
    tx: &mut Tx<'_>,
    org_id: OrgId,
    invited_by: UserId,
    roles: &[&str],
) -> Result<Vec<InvitationId>, Error> {
    let pending = invitations::table
        .filter(invitations::org_id.eq(org_id))
        .filter(invitations::invited_by.eq(invited_by))
        .filter(invitations::role.eq_any(roles))
        .filter(invitations::accepted_at.is_null())
        .filter(invitations::declined_at.is_null())
        .filter(invitations::revoked_at.is_null())
        .filter(invitations::expires_at.gt(tx.now));
    Ok(diesel::update(pending)
        .set(invitations::revoked_at.eq(tx.now))
        .returning(invitations::id)
        .get_results(tx.conn)?)
}
