//! Every query on invitations.

use crate::db::Tx;
use chrono::{DateTime, Utc};
use diesel::dsl::exists;
use diesel::prelude::*;

use super::model::{Invitation, InvitationState};
use crate::auth::OrgRole;
use crate::db::schema::{invitations, memberships, orgs, users};
use crate::error::Error;
use crate::values::ids::{InvitationId, OrgId, UserId};
use crate::values::locale::Locale;

/// Invitations with where to and by whom.
#[diesel::dsl::auto_type(no_type_alias)]
fn shown() -> _ {
    invitations::table
        .inner_join(orgs::table)
        .left_join(users::table.on(users::id.nullable().eq(invitations::invited_by)))
        .select((
            invitations::id,
            invitations::email,
            invitations::role,
            (orgs::id, orgs::name, orgs::slug),
            (users::id, users::username, users::nickname, users::avatar_id).nullable(),
            invitations::locale,
            invitations::created_at,
            invitations::expires_at,
            invitations::accepted_at,
            invitations::declined_at,
            invitations::revoked_at,
        ))
}

/// Nobody has decided.
#[diesel::dsl::auto_type(no_type_alias)]
fn undecided() -> _ {
    invitations::accepted_at
        .is_null()
        .and(invitations::declined_at.is_null())
        .and(invitations::revoked_at.is_null())
}

/// Whose invitations.
#[derive(Clone, Copy, Debug)]
pub enum Side<'a> {
    /// Those into an organisation.
    Org(OrgId),
    /// Those for an address.
    Email(&'a str),
}

pub fn find(tx: &mut Tx<'_>, side: Side<'_>, id: InvitationId) -> Result<Option<Invitation>, Error> {
    let query = shown().filter(invitations::id.eq(id)).into_boxed();
    let query = match side {
        Side::Org(org_id) => query.filter(invitations::org_id.eq(org_id)),
        Side::Email(email) => query.filter(invitations::email.eq(email)),
    };
    Ok(query.first(tx.conn).optional()?)
}

/// The invitation that a mailed token is for: whoever has the token may see it, wherever it leads.
pub fn find_mailed(tx: &mut Tx<'_>, id: InvitationId) -> Result<Option<Invitation>, Error> {
    Ok(shown().filter(invitations::id.eq(id)).first(tx.conn).optional()?)
}

/// The newest first.
pub fn list(
    tx: &mut Tx<'_>,
    side: Side<'_>,
    state: Option<InvitationState>,
    after: Option<(DateTime<Utc>, InvitationId)>,
    limit: i64,
) -> Result<Vec<Invitation>, Error> {
    let mut query = shown()
        .order((invitations::created_at.desc(), invitations::id.desc()))
        .limit(limit)
        .into_boxed();
    query = match side {
        Side::Org(org_id) => query.filter(invitations::org_id.eq(org_id)),
        Side::Email(email) => query.filter(invitations::email.eq(email)),
    };
    // `Invitation::state` in SQL.
    query = match state {
        None => query,
        Some(InvitationState::Pending) => query.filter(undecided()).filter(invitations::expires_at.gt(tx.now)),
        Some(InvitationState::Accepted) => query.filter(invitations::accepted_at.is_not_null()),
        Some(InvitationState::Declined) => query.filter(invitations::declined_at.is_not_null()),
        Some(InvitationState::Revoked) => query.filter(invitations::revoked_at.lt(invitations::expires_at.nullable())),
        Some(InvitationState::Expired) => {
            let closed_late = invitations::revoked_at.ge(invitations::expires_at.nullable());
            let run_out = undecided().and(invitations::expires_at.le(tx.now));
            query.filter(closed_late.or(run_out.nullable()))
        }
    };
    if let Some((created_at, id)) = after {
        query = query.filter(
            invitations::created_at
                .lt(created_at)
                .or(invitations::created_at.eq(created_at).and(invitations::id.lt(id))),
        );
    }
    Ok(query.load(tx.conn)?)
}

/// Whether the address is that of a member.
pub fn is_member(tx: &mut Tx<'_>, org_id: OrgId, email: &str) -> Result<bool, Error> {
    let there = memberships::table
        .inner_join(users::table)
        .filter(memberships::org_id.eq(org_id))
        .filter(users::email.eq(email));
    Ok(diesel::select(exists(there)).get_result(tx.conn)?)
}

/// Closes what has expired without a decision, so that a newer one can take its place.
pub fn close_expired(tx: &mut Tx<'_>, org_id: OrgId, email: &str) -> Result<(), Error> {
    let expired = invitations::table
        .filter(invitations::org_id.eq(org_id))
        .filter(invitations::email.eq(email))
        .filter(undecided())
        .filter(invitations::expires_at.le(tx.now));
    diesel::update(expired)
        .set(invitations::revoked_at.eq(tx.now))
        .execute(tx.conn)?;
    Ok(())
}

pub struct NewInvitation<'a> {
    pub org_id: OrgId,
    pub email: &'a str,
    pub role: OrgRole,
    pub invited_by: UserId,
    pub locale: Locale,
    pub expires_at: DateTime<Utc>,
}

/// Makes an invitation, unless one is pending for the address.
pub fn insert(tx: &mut Tx<'_>, new: &NewInvitation<'_>) -> Result<Option<InvitationId>, Error> {
    Ok(diesel::insert_into(invitations::table)
        .values((
            invitations::id.eq(InvitationId::new(tx.now)),
            invitations::org_id.eq(new.org_id),
            invitations::email.eq(new.email),
            invitations::role.eq(new.role.as_str()),
            invitations::invited_by.eq(new.invited_by),
            invitations::locale.eq(new.locale.as_str()),
            invitations::created_at.eq(tx.now),
            invitations::expires_at.eq(new.expires_at),
        ))
        .on_conflict_do_nothing()
        .returning(invitations::id)
        .get_result(tx.conn)
        .optional()?)
}

/// What may become of a pending invitation.
#[derive(Clone, Copy, Debug)]
pub enum Decision {
    AcceptedBy(UserId),
    Declined,
    Revoked,
    /// Not decided: it stays pending until then.
    Prolonged(DateTime<Utc>),
}

/// Decides, if nobody has and it has not expired; false otherwise.
pub fn decide(tx: &mut Tx<'_>, id: InvitationId, decision: Decision) -> Result<bool, Error> {
    let pending = diesel::update(invitations::table)
        .filter(invitations::id.eq(id))
        .filter(undecided())
        .filter(invitations::expires_at.gt(tx.now));
    let changed = match decision {
        Decision::AcceptedBy(user_id) => pending
            .set((
                invitations::accepted_at.eq(tx.now),
                invitations::accepted_by.eq(user_id),
            ))
            .execute(tx.conn)?,
        Decision::Declined => pending.set(invitations::declined_at.eq(tx.now)).execute(tx.conn)?,
        Decision::Revoked => pending.set(invitations::revoked_at.eq(tx.now)).execute(tx.conn)?,
        Decision::Prolonged(until) => pending.set(invitations::expires_at.eq(until)).execute(tx.conn)?,
    };
    Ok(changed == 1)
}
