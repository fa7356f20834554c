//! Every query on the table of requests to join.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;

use super::model::{JoinRequest, JoinRequestState, Scope};
use crate::db::Tx;
use crate::db::schema::{join_requests, orgs, users};
use crate::db::sweep::Sweep;
use crate::error::Error;
use crate::values::ids::{JoinRequestId, OrgId, UserId};

#[diesel::dsl::auto_type(no_type_alias)]
fn requests_with_names() -> _ {
    join_requests::table
        .inner_join(orgs::table)
        .inner_join(users::table.on(users::id.eq(join_requests::user_id)))
        .select((
            join_requests::id,
            (users::id, users::username, users::nickname, users::avatar_id),
            (orgs::id, orgs::name, orgs::slug),
            join_requests::message,
            join_requests::reason,
            join_requests::created_at,
            join_requests::approved_at,
            join_requests::rejected_at,
            join_requests::withdrawn_at,
        ))
}

/// [`JoinRequestState::Pending`] in SQL.
#[diesel::dsl::auto_type(no_type_alias)]
fn pending() -> _ {
    join_requests::approved_at
        .is_null()
        .and(join_requests::rejected_at.is_null())
        .and(join_requests::withdrawn_at.is_null())
}

pub fn find(tx: &mut Tx<'_>, org_id: OrgId, id: JoinRequestId) -> Result<Option<JoinRequest>, Error> {
    Ok(requests_with_names()
        .filter(join_requests::org_id.eq(org_id))
        .filter(join_requests::id.eq(id))
        .first(tx.conn)
        .optional()?)
}

/// Newest first.
pub fn list(
    tx: &mut Tx<'_>,
    scope: Scope,
    state: Option<JoinRequestState>,
    after: Option<(DateTime<Utc>, JoinRequestId)>,
    limit: i64,
) -> Result<Vec<JoinRequest>, Error> {
    let mut query = requests_with_names()
        .order((join_requests::created_at.desc(), join_requests::id.desc()))
        .limit(limit)
        .into_boxed();
    query = match scope {
        Scope::Org(org_id) => query.filter(join_requests::org_id.eq(org_id)),
        Scope::User(user_id) => query.filter(join_requests::user_id.eq(user_id)),
    };
    // The same cases as `JoinRequest::state`.
    query = match state {
        None => query,
        Some(JoinRequestState::Pending) => query.filter(pending()),
        Some(JoinRequestState::Approved) => query.filter(join_requests::approved_at.is_not_null()),
        Some(JoinRequestState::Rejected) => query.filter(join_requests::rejected_at.is_not_null()),
        Some(JoinRequestState::Withdrawn) => query.filter(join_requests::withdrawn_at.is_not_null()),
    };
    if let Some((created_at, id)) = after {
        query = query.filter(
            join_requests::created_at
                .lt(created_at)
                .or(join_requests::created_at.eq(created_at).and(join_requests::id.lt(id))),
        );
    }
    Ok(query.load(tx.conn)?)
}

pub fn count_pending(tx: &mut Tx<'_>, user_id: UserId) -> Result<i64, Error> {
    Ok(join_requests::table
        .filter(join_requests::user_id.eq(user_id))
        .filter(pending())
        .count()
        .get_result(tx.conn)?)
}

/// Inserts a request; `None` when one of the person is pending.
pub fn insert(
    tx: &mut Tx<'_>,
    org_id: OrgId,
    user_id: UserId,
    message: Option<&str>,
) -> Result<Option<JoinRequestId>, Error> {
    Ok(diesel::insert_into(join_requests::table)
        .values((
            join_requests::id.eq(JoinRequestId::new(tx.now)),
            join_requests::org_id.eq(org_id),
            join_requests::user_id.eq(user_id),
            join_requests::message.eq(message),
            join_requests::created_at.eq(tx.now),
        ))
        .on_conflict_do_nothing()
        .returning(join_requests::id)
        .get_result(tx.conn)
        .optional()?)
}

/// How a pending request ends.
#[derive(Clone, Copy, Debug)]
pub enum Decision<'a> {
    ApprovedBy(UserId),
    RejectedBy(UserId, Option<&'a str>),
    Withdrawn,
}

/// Decides a pending request; false when it is not pending.
pub fn decide(tx: &mut Tx<'_>, id: JoinRequestId, decision: Decision<'_>) -> Result<bool, Error> {
    let pending = diesel::update(join_requests::table.find(id).filter(pending()));
    let decided = match decision {
        Decision::ApprovedBy(user_id) => pending
            .set((
                join_requests::approved_at.eq(tx.now),
                join_requests::decided_by.eq(user_id),
            ))
            .execute(tx.conn)?,
        Decision::RejectedBy(user_id, reason) => pending
            .set((
                join_requests::rejected_at.eq(tx.now),
                join_requests::decided_by.eq(user_id),
                join_requests::reason.eq(reason),
            ))
            .execute(tx.conn)?,
        Decision::Withdrawn => pending.set(join_requests::withdrawn_at.eq(tx.now)).execute(tx.conn)?,
    };
    Ok(decided == 1)
}

/// Approves the pending request of a person and returns its id; `None` when there is none.
pub fn approve_pending(
    tx: &mut Tx<'_>,
    org_id: OrgId,
    user_id: UserId,
    approved_by: Option<UserId>,
) -> Result<Option<JoinRequestId>, Error> {
    let of_user = join_requests::table
        .filter(join_requests::org_id.eq(org_id))
        .filter(join_requests::user_id.eq(user_id))
        .filter(pending());
    Ok(diesel::update(of_user)
        .set((
            join_requests::approved_at.eq(tx.now),
            join_requests::decided_by.eq(approved_by),
        ))
        .returning(join_requests::id)
        .get_result(tx.conn)
        .optional()?)
}

/// Requests that were decided or withdrawn, and those that no admin decided for a year.
pub const SWEEPS: [Sweep; 2] = [
    Sweep {
        table: "join_requests",
        ended: "greatest(approved_at, rejected_at, withdrawn_at) < $1",
        order_by: "greatest(approved_at, rejected_at, withdrawn_at)",
        retention: |_| Some(TimeDelta::days(180)),
        cutoff_setting: None,
    },
    Sweep {
        table: "join_requests",
        ended: "approved_at IS NULL AND rejected_at IS NULL AND withdrawn_at IS NULL AND created_at < $1",
        order_by: "created_at",
        retention: |_| Some(TimeDelta::days(365)),
        cutoff_setting: None,
    },
];
