//! Every query on the table of invitations.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::exists;
use diesel::prelude::*;

use super::model::{Invitation, InvitationState, Scope};
use crate::auth::OrgRole;
use crate::db::Tx;
use crate::db::schema::{invitations, memberships, orgs, users};
use crate::db::sweep::Sweep;
use crate::error::Error;
use crate::values::ids::{InvitationId, OrgId, UserId};
use crate::values::locale::Locale;

#[diesel::dsl::auto_type(no_type_alias)]
fn invitations_with_names() -> _ {
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

/// Neither accepted, declined nor revoked.
#[diesel::dsl::auto_type]
fn undecided() -> _ {
    invitations::accepted_at
        .is_null()
        .and(invitations::declined_at.is_null())
        .and(invitations::revoked_at.is_null())
}

/// [`InvitationState::Pending`] in SQL.
#[diesel::dsl::auto_type]
fn pending(now: DateTime<Utc>) -> _ {
    let not_expired: diesel::dsl::Gt<invitations::expires_at, DateTime<Utc>> = invitations::expires_at.gt(now);
    undecided().and(not_expired)
}

pub fn find(tx: &mut Tx<'_>, scope: Scope<'_>, id: InvitationId) -> Result<Option<Invitation>, Error> {
    let query = invitations_with_names().filter(invitations::id.eq(id)).into_boxed();
    let query = match scope {
        Scope::Org(org_id) => query.filter(invitations::org_id.eq(org_id)),
        Scope::Email(email) => query.filter(invitations::email.eq(email)),
    };
    Ok(query.first(tx.conn).optional()?)
}

/// The invitation that a mailed token is for. No scope: having the token is the permission.
pub fn find_mailed(tx: &mut Tx<'_>, id: InvitationId) -> Result<Option<Invitation>, Error> {
    Ok(invitations_with_names()
        .filter(invitations::id.eq(id))
        .first(tx.conn)
        .optional()?)
}

/// Newest first.
pub fn list(
    tx: &mut Tx<'_>,
    scope: Scope<'_>,
    state: Option<InvitationState>,
    after: Option<(DateTime<Utc>, InvitationId)>,
    limit: i64,
) -> Result<Vec<Invitation>, Error> {
    let mut query = invitations_with_names()
        .order((invitations::created_at.desc(), invitations::id.desc()))
        .limit(limit)
        .into_boxed();
    query = match scope {
        Scope::Org(org_id) => query.filter(invitations::org_id.eq(org_id)),
        Scope::Email(email) => query.filter(invitations::email.eq(email)),
    };
    // The same cases as `Invitation::state`.
    query = match state {
        None => query,
        Some(InvitationState::Pending) => query.filter(pending(tx.now)),
        Some(InvitationState::Accepted) => query.filter(invitations::accepted_at.is_not_null()),
        Some(InvitationState::Declined) => query.filter(invitations::declined_at.is_not_null()),
        Some(InvitationState::Revoked) => query.filter(invitations::revoked_at.lt(invitations::expires_at.nullable())),
        Some(InvitationState::Expired) => {
            let replaced = invitations::revoked_at.ge(invitations::expires_at.nullable());
            let undecided = undecided().and(invitations::expires_at.le(tx.now));
            query.filter(replaced.or(undecided.nullable()))
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

/// Whether a member of the organisation has this address.
pub fn is_member(tx: &mut Tx<'_>, org_id: OrgId, email: &str) -> Result<bool, Error> {
    let members = memberships::table
        .inner_join(users::table)
        .filter(memberships::org_id.eq(org_id))
        .filter(users::email.eq(email));
    Ok(diesel::select(exists(members)).get_result(tx.conn)?)
}

/// Marks an expired invitation of the address as revoked: the unique index allows one undecided row for each address.
pub fn revoke_expired(tx: &mut Tx<'_>, org_id: OrgId, email: &str) -> Result<(), Error> {
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

/// Inserts an invitation; `None` when one is pending for the address.
pub fn insert(tx: &mut Tx<'_>, new: &NewInvitation<'_>) -> Result<Option<InvitationId>, Error> {
    Ok(diesel::insert_into(invitations::table)
        .values((
            invitations::id.eq(InvitationId::new(tx.now)),
            invitations::org_id.eq(new.org_id),
            invitations::email.eq(new.email),
            invitations::role.eq(new.role),
            invitations::invited_by.eq(new.invited_by),
            invitations::locale.eq(new.locale),
            invitations::created_at.eq(tx.now),
            invitations::expires_at.eq(new.expires_at),
        ))
        .on_conflict_do_nothing()
        .returning(invitations::id)
        .get_result(tx.conn)
        .optional()?)
}

/// Moves the expiry of a pending invitation; false when it is not pending.
pub fn extend(tx: &mut Tx<'_>, id: InvitationId, expires_at: DateTime<Utc>) -> Result<bool, Error> {
    let extended = diesel::update(invitations::table.find(id).filter(pending(tx.now)))
        .set(invitations::expires_at.eq(expires_at))
        .execute(tx.conn)?;
    Ok(extended == 1)
}

/// How a pending invitation ends.
#[derive(Clone, Copy, Debug)]
pub enum Decision {
    AcceptedBy(UserId),
    Declined,
    Revoked,
}

/// Decides a pending invitation; false when it is not pending.
pub fn decide(tx: &mut Tx<'_>, id: InvitationId, decision: Decision) -> Result<bool, Error> {
    let pending = diesel::update(invitations::table.find(id).filter(pending(tx.now)));
    let decided = match decision {
        Decision::AcceptedBy(user_id) => pending
            .set((
                invitations::accepted_at.eq(tx.now),
                invitations::accepted_by.eq(user_id),
            ))
            .execute(tx.conn)?,
        Decision::Declined => pending.set(invitations::declined_at.eq(tx.now)).execute(tx.conn)?,
        Decision::Revoked => pending.set(invitations::revoked_at.eq(tx.now)).execute(tx.conn)?,
    };
    Ok(decided == 1)
}

/// Accepts the pending invitation of an address and returns its id; `None` when there is none.
pub fn accept_pending(
    tx: &mut Tx<'_>,
    org_id: OrgId,
    email: &str,
    user_id: UserId,
) -> Result<Option<InvitationId>, Error> {
    let of_email = invitations::table
        .filter(invitations::org_id.eq(org_id))
        .filter(invitations::email.eq(email))
        .filter(pending(tx.now));
    Ok(diesel::update(of_email)
        .set((
            invitations::accepted_at.eq(tx.now),
            invitations::accepted_by.eq(user_id),
        ))
        .returning(invitations::id)
        .get_result(tx.conn)
        .optional()?)
}

pub fn count_pending(tx: &mut Tx<'_>, org_id: OrgId) -> Result<i64, Error> {
    Ok(invitations::table
        .filter(invitations::org_id.eq(org_id))
        .filter(pending(tx.now))
        .count()
        .get_result(tx.conn)?)
}

/// Revokes all pending invitations of an inviter, and returns their ids.
pub fn revoke_all_by(tx: &mut Tx<'_>, inviter_id: UserId) -> Result<Vec<InvitationId>, Error> {
    let of_inviter = invitations::table
        .filter(invitations::invited_by.eq(inviter_id))
        .filter(pending(tx.now));
    Ok(diesel::update(of_inviter)
        .set(invitations::revoked_at.eq(tx.now))
        .returning(invitations::id)
        .get_results(tx.conn)?)
}

/// Revokes the pending invitations of an inviter whose role is one of `roles`, and returns their ids.
pub fn revoke_by(
    tx: &mut Tx<'_>,
    org_id: OrgId,
    inviter_id: UserId,
    roles: &[OrgRole],
) -> Result<Vec<InvitationId>, Error> {
    let of_inviter = invitations::table
        .filter(invitations::org_id.eq(org_id))
        .filter(invitations::invited_by.eq(inviter_id))
        .filter(invitations::role.eq_any(roles))
        .filter(pending(tx.now));
    Ok(diesel::update(of_inviter)
        .set(invitations::revoked_at.eq(tx.now))
        .returning(invitations::id)
        .get_results(tx.conn)?)
}

/// Invitations that were decided or expired. Those decided stay until they would have expired: seven days at most.
pub const SWEEP: Sweep = Sweep {
    table: "invitations",
    ended: "expires_at < $1",
    order_by: "expires_at",
    retention: |_| Some(TimeDelta::days(180)),
    cutoff_setting: None,
};
