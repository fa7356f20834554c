//! Every query on requests to join.

use crate::db::Tx;
use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::model::{JoinRequest, JoinRequestState};
use crate::db::schema::{join_requests, orgs, users};
use crate::error::Error;
use crate::values::ids::{JoinRequestId, OrgId, UserId};

/// Requests with who asks and where to.
#[diesel::dsl::auto_type(no_type_alias)]
fn shown() -> _ {
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

pub fn find(tx: &mut Tx<'_>, org_id: OrgId, id: JoinRequestId) -> Result<Option<JoinRequest>, Error> {
    Ok(shown()
        .filter(join_requests::org_id.eq(org_id))
        .filter(join_requests::id.eq(id))
        .first(tx.conn)
        .optional()?)
}

/// Whose requests.
#[derive(Clone, Copy, Debug)]
pub enum Side {
    /// Those to an organisation.
    Org(OrgId),
    /// Those of a person.
    User(UserId),
}

/// The newest first.
pub fn list(
    tx: &mut Tx<'_>,
    side: Side,
    state: Option<JoinRequestState>,
    after: Option<(DateTime<Utc>, JoinRequestId)>,
    limit: i64,
) -> Result<Vec<JoinRequest>, Error> {
    let mut query = shown()
        .order((join_requests::created_at.desc(), join_requests::id.desc()))
        .limit(limit)
        .into_boxed();
    query = match side {
        Side::Org(org_id) => query.filter(join_requests::org_id.eq(org_id)),
        Side::User(user_id) => query.filter(join_requests::user_id.eq(user_id)),
    };
    // `JoinRequest::state` in SQL.
    query = match state {
        None => query,
        Some(JoinRequestState::Pending) => query
            .filter(join_requests::approved_at.is_null())
            .filter(join_requests::rejected_at.is_null())
            .filter(join_requests::withdrawn_at.is_null()),
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

/// Asks, unless a request of the person's is pending.
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

/// What may become of a pending request.
#[derive(Clone, Copy, Debug)]
pub enum Decision<'a> {
    ApprovedBy(UserId),
    RejectedBy(UserId, Option<&'a str>),
    Withdrawn,
}

/// Decides, if nobody has; false otherwise.
pub fn decide(tx: &mut Tx<'_>, id: JoinRequestId, decision: Decision<'_>) -> Result<bool, Error> {
    let pending = diesel::update(join_requests::table)
        .filter(join_requests::id.eq(id))
        .filter(join_requests::approved_at.is_null())
        .filter(join_requests::rejected_at.is_null())
        .filter(join_requests::withdrawn_at.is_null());
    let changed = match decision {
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
    Ok(changed == 1)
}
