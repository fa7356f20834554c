//! Queries on the table `sessions`.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use diesel::dsl::exists;
use diesel::prelude::*;
use ipnet::IpNet;

use super::model::{EndReason, IDLE_LIFETIME, MAX_LIFETIME, Session};
use crate::auth::{OrgRole, PlatformRole};
use crate::db::Tx;
use crate::db::schema::{memberships, sessions, users};
use crate::db::sweep::{self, Sweep};
use crate::error::Error;
use crate::values::ids::{MembershipId, OrgId, SessionId, UserId};

pub struct NewSession<'a> {
    pub user_id: UserId,
    pub org_id: Option<OrgId>,
    pub user_agent: Option<&'a str>,
    /// From [`device::name`](super::device::name).
    pub device: &'a str,
    pub ip: IpAddr,
}

pub fn insert(tx: &mut Tx<'_>, new: &NewSession<'_>) -> Result<Session, Error> {
    Ok(diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(SessionId::new(tx.now)),
            sessions::user_id.eq(new.user_id),
            sessions::org_id.eq(new.org_id),
            sessions::user_agent.eq(new.user_agent),
            sessions::device.eq(new.device),
            sessions::ip.eq(IpNet::from(new.ip)),
            sessions::created_at.eq(tx.now),
            sessions::authenticated_at.eq(tx.now),
            sessions::last_used_at.eq(tx.now),
            sessions::expires_at.eq(tx.now + MAX_LIFETIME),
        ))
        .returning(Session::as_returning())
        .get_result(tx.conn)?)
}

/// The user of a session.
pub fn find_user_id(tx: &mut Tx<'_>, id: SessionId) -> Result<Option<UserId>, Error> {
    Ok(sessions::table
        .find(id)
        .select(sessions::user_id)
        .first(tx.conn)
        .optional()?)
}

/// Locks a session. Its account must be locked.
pub fn lock(tx: &mut Tx<'_>, id: SessionId) -> Result<Option<Session>, Error> {
    Ok(sessions::table
        .find(id)
        .select(Session::as_select())
        .for_update()
        .first(tx.conn)
        .optional()?)
}

/// Records a refresh, and the organisation in which the session acts from now on.
pub fn record_refresh(tx: &mut Tx<'_>, id: SessionId, org_id: Option<OrgId>) -> Result<Session, Error> {
    Ok(diesel::update(sessions::table.find(id))
        .set((sessions::last_used_at.eq(tx.now), sessions::org_id.eq(org_id)))
        .returning(Session::as_returning())
        .get_result(tx.conn)?)
}

/// Makes the next refresh token the current one.
pub fn rotate_refresh_token(tx: &mut Tx<'_>, id: SessionId) -> Result<(), Error> {
    diesel::update(sessions::table.find(id))
        .set((
            sessions::refresh_generation.eq(sessions::refresh_generation + 1),
            sessions::refreshed_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// Records an authentication with the password; `None` if the session has ended.
pub fn set_authenticated(tx: &mut Tx<'_>, id: SessionId) -> Result<Option<Session>, Error> {
    Ok(
        diesel::update(sessions::table.find(id).filter(sessions::ended_at.is_null()))
            .set(sessions::authenticated_at.eq(tx.now))
            .returning(Session::as_returning())
            .get_result(tx.conn)
            .optional()?,
    )
}

/// Sets the organisation in which the session acts; `None` if the session has ended.
pub fn set_org(tx: &mut Tx<'_>, id: SessionId, org_id: Option<OrgId>) -> Result<Option<Session>, Error> {
    Ok(
        diesel::update(sessions::table.find(id).filter(sessions::ended_at.is_null()))
            .set(sessions::org_id.eq(org_id))
            .returning(Session::as_returning())
            .get_result(tx.conn)
            .optional()?,
    )
}

/// Ends a session of a user; false if there is no such session that has not ended.
pub fn end(tx: &mut Tx<'_>, user_id: UserId, id: SessionId, reason: EndReason) -> Result<bool, Error> {
    let not_ended = sessions::table
        .find(id)
        .filter(sessions::user_id.eq(user_id))
        .filter(sessions::ended_at.is_null());
    let ended = diesel::update(not_ended)
        .set((sessions::ended_at.eq(tx.now), sessions::end_reason.eq(reason)))
        .execute(tx.conn)?;
    Ok(ended == 1)
}

/// Ends all sessions of a user, except one if given.
pub fn end_all(tx: &mut Tx<'_>, user_id: UserId, except: Option<SessionId>, reason: EndReason) -> Result<usize, Error> {
    let ended = (sessions::ended_at.eq(tx.now), sessions::end_reason.eq(reason));
    let not_ended = diesel::update(sessions::table)
        .filter(sessions::user_id.eq(user_id))
        .filter(sessions::ended_at.is_null());
    Ok(match except {
        Some(id) => not_ended.filter(sessions::id.ne(id)).set(ended).execute(tx.conn)?,
        None => not_ended.set(ended).execute(tx.conn)?,
    })
}

/// Ends the sessions of a user beyond the `keep` last used ones, and returns their number.
pub fn end_least_used(tx: &mut Tx<'_>, user_id: UserId, keep: i64, reason: EndReason) -> Result<usize, Error> {
    let excess: Vec<SessionId> = sessions::table
        .filter(sessions::user_id.eq(user_id))
        .filter(sessions::ended_at.is_null())
        .order((sessions::last_used_at.desc(), sessions::id.desc()))
        .offset(keep)
        .select(sessions::id)
        .load(tx.conn)?;
    if excess.is_empty() {
        return Ok(0);
    }
    Ok(diesel::update(sessions::table.filter(sessions::id.eq_any(excess)))
        .set((sessions::ended_at.eq(tx.now), sessions::end_reason.eq(reason)))
        .execute(tx.conn)?)
}

/// The live sessions of a user, the newest first, that follow the one with the id `after`.
pub fn list_live(
    tx: &mut Tx<'_>,
    user_id: UserId,
    after: Option<SessionId>,
    limit: i64,
) -> Result<Vec<Session>, Error> {
    let mut query = sessions::table
        .filter(sessions::user_id.eq(user_id))
        .filter(sessions::ended_at.is_null())
        .filter(sessions::expires_at.gt(tx.now))
        .filter(sessions::last_used_at.gt(tx.now - IDLE_LIFETIME))
        .order(sessions::id.desc())
        .limit(limit)
        .select(Session::as_select())
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(sessions::id.lt(after));
    }
    Ok(query.load(tx.conn)?)
}

/// Those of the sessions that have not ended and whose user is not disabled. They may have expired.
pub fn list_of_enabled_users(tx: &mut Tx<'_>, ids: &[SessionId]) -> Result<Vec<Session>, Error> {
    Ok(sessions::table
        .inner_join(users::table)
        .filter(sessions::id.eq_any(ids))
        .filter(sessions::ended_at.is_null())
        .filter(users::disabled_at.is_null())
        .select(Session::as_select())
        .load(tx.conn)?)
}

/// Whether a user has used a device since the given time.
pub fn has_device(tx: &mut Tx<'_>, user_id: UserId, device: &str, since: DateTime<Utc>) -> Result<bool, Error> {
    let of_device = sessions::table
        .filter(sessions::user_id.eq(user_id))
        .filter(sessions::device.eq(device))
        .filter(sessions::last_used_at.gt(since));
    Ok(diesel::select(exists(of_device)).get_result(tx.conn)?)
}

/// The membership of the user in the organisation for which an access token was issued.
#[derive(Queryable)]
pub struct MembershipRow {
    pub id: MembershipId,
    pub org_id: OrgId,
    pub role: OrgRole,
    pub disabled_services: Vec<String>,
}

/// A session with its user.
#[derive(Queryable)]
pub struct SessionRow {
    pub session: Session,
    pub role: PlatformRole,
    pub username: Option<String>,
    pub nickname: Option<String>,
    pub disabled_at: Option<DateTime<Utc>>,
    pub membership: Option<MembershipRow>,
}

/// A session with its user and their membership in `org_id`, in one statement.
pub fn find_with_principal(tx: &mut Tx<'_>, id: SessionId, org_id: Option<OrgId>) -> Result<Option<SessionRow>, Error> {
    let membership = memberships::org_id
        .nullable()
        .eq(org_id)
        .and(memberships::user_id.eq(users::id));
    Ok(sessions::table
        .inner_join(users::table)
        .left_join(memberships::table.on(membership))
        .filter(sessions::id.eq(id))
        .select((
            Session::as_select(),
            users::role,
            users::username,
            users::nickname,
            users::disabled_at,
            (
                memberships::id,
                memberships::org_id,
                memberships::role,
                memberships::disabled_services,
            )
                .nullable(),
        ))
        .first(tx.conn)
        .optional()?)
}

/// The users of the sessions in which an organisation is active.
pub fn list_user_ids_by_org(tx: &mut Tx<'_>, org_id: OrgId) -> Result<Vec<UserId>, Error> {
    Ok(sessions::table
        .filter(sessions::org_id.eq(org_id))
        .select(sessions::user_id)
        .load(tx.conn)?)
}

/// Removes an organisation that is about to be deleted from the sessions in which it is active.
pub fn clear_org(tx: &mut Tx<'_>, org_id: OrgId) -> Result<(), Error> {
    diesel::update(sessions::table.filter(sessions::org_id.eq(org_id)))
        .set(sessions::org_id.eq(None::<OrgId>))
        .execute(tx.conn)?;
    Ok(())
}

/// Sessions that were ended, and those that reached their maximum age. A session that was left idle is deleted with the
/// latter: an index on its last use would make every refresh slower.
pub const SWEEPS: [Sweep; 2] = [
    Sweep {
        table: "sessions",
        ended: "ended_at < $1",
        order_by: "ended_at",
        retention: |config| sweep::days(config.retention_sessions_days),
        cutoff_setting: None,
    },
    Sweep {
        table: "sessions",
        ended: "ended_at IS NULL AND expires_at < $1",
        order_by: "expires_at",
        retention: |config| sweep::days(config.retention_sessions_days),
        cutoff_setting: None,
    },
];
