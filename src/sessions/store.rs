//! Every query on sessions and refresh tokens.

use std::net::IpAddr;

use crate::db::Tx;
use chrono::{DateTime, Utc};
use diesel::dsl::exists;
use diesel::prelude::*;
use ipnet::IpNet;

use super::model::{EndReason, LIFETIME, Session};
use crate::db::schema::{memberships, refresh_tokens, sessions, users};
use crate::error::Error;
use crate::secret::{Purpose, ServerSecret, TokenHash};
use crate::values::ids::{MembershipId, OrgId, RefreshTokenId, SessionId, UserId};

pub struct NewSession<'a> {
    pub user_id: UserId,
    pub org_id: Option<OrgId>,
    pub user_agent: Option<&'a str>,
    pub ip: IpAddr,
}

pub fn insert(tx: &mut Tx<'_>, new: &NewSession<'_>) -> Result<Session, Error> {
    Ok(diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(SessionId::new(tx.now)),
            sessions::user_id.eq(new.user_id),
            sessions::org_id.eq(new.org_id),
            sessions::user_agent.eq(new.user_agent),
            sessions::ip.eq(IpNet::from(new.ip)),
            sessions::created_at.eq(tx.now),
            sessions::authenticated_at.eq(tx.now),
            sessions::last_used_at.eq(tx.now),
            sessions::expires_at.eq(tx.now + LIFETIME),
        ))
        .returning(Session::as_returning())
        .get_result(tx.conn)?)
}

/// Adds a refresh token to a session's chain; the one before must be used first.
pub fn insert_refresh_token(
    tx: &mut Tx<'_>,
    secret: &ServerSecret,
    session_id: SessionId,
    id: RefreshTokenId,
) -> Result<(), Error> {
    let hash = secret.token(Purpose::Refresh, id.uuid()).hash();
    diesel::insert_into(refresh_tokens::table)
        .values((
            refresh_tokens::id.eq(id),
            refresh_tokens::session_id.eq(session_id),
            refresh_tokens::token_hash.eq(hash.as_bytes().as_slice()),
            refresh_tokens::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// A refresh token's place in its chain.
#[derive(Queryable)]
pub struct RefreshToken {
    pub id: RefreshTokenId,
    pub used_at: Option<DateTime<Utc>>,
    pub successor_id: Option<RefreshTokenId>,
}

/// The session of a refresh token, locked, and then the token: so that of two refreshes one comes after the other.
pub fn lock_by_refresh_token(tx: &mut Tx<'_>, hash: &TokenHash) -> Result<Option<(Session, RefreshToken)>, Error> {
    let by_hash = refresh_tokens::table.filter(refresh_tokens::token_hash.eq(hash.as_bytes().as_slice()));
    let session_id: Option<SessionId> = by_hash.select(refresh_tokens::session_id).first(tx.conn).optional()?;
    let Some(session_id) = session_id else { return Ok(None) };
    let Some(session) = lock(tx, session_id)? else {
        return Ok(None);
    };
    let token = by_hash
        .select((
            refresh_tokens::id,
            refresh_tokens::used_at,
            refresh_tokens::successor_id,
        ))
        .first(tx.conn)
        .optional()?;
    Ok(token.map(|token| (session, token)))
}

pub fn lock(tx: &mut Tx<'_>, id: SessionId) -> Result<Option<Session>, Error> {
    Ok(sessions::table
        .find(id)
        .select(Session::as_select())
        .for_update()
        .first(tx.conn)
        .optional()?)
}

pub fn use_refresh_token(tx: &mut Tx<'_>, id: RefreshTokenId, successor_id: RefreshTokenId) -> Result<(), Error> {
    diesel::update(refresh_tokens::table.find(id))
        .set((
            refresh_tokens::used_at.eq(tx.now),
            refresh_tokens::successor_id.eq(successor_id),
        ))
        .execute(tx.conn)?;
    Ok(())
}

pub fn is_unused(tx: &mut Tx<'_>, id: RefreshTokenId) -> Result<bool, Error> {
    let unused = refresh_tokens::table.find(id).filter(refresh_tokens::used_at.is_null());
    Ok(diesel::select(exists(unused)).get_result(tx.conn)?)
}

pub fn touch(tx: &mut Tx<'_>, id: SessionId, org_id: Option<OrgId>) -> Result<Session, Error> {
    Ok(diesel::update(sessions::table.find(id))
        .set((sessions::last_used_at.eq(tx.now), sessions::org_id.eq(org_id)))
        .returning(Session::as_returning())
        .get_result(tx.conn)?)
}

pub fn set_authenticated(tx: &mut Tx<'_>, id: SessionId) -> Result<Option<Session>, Error> {
    Ok(
        diesel::update(sessions::table.find(id).filter(sessions::ended_at.is_null()))
            .set(sessions::authenticated_at.eq(tx.now))
            .returning(Session::as_returning())
            .get_result(tx.conn)
            .optional()?,
    )
}

pub fn set_org(tx: &mut Tx<'_>, id: SessionId, org_id: Option<OrgId>) -> Result<Option<Session>, Error> {
    Ok(
        diesel::update(sessions::table.find(id).filter(sessions::ended_at.is_null()))
            .set(sessions::org_id.eq(org_id))
            .returning(Session::as_returning())
            .get_result(tx.conn)
            .optional()?,
    )
}

pub fn set_last_org(tx: &mut Tx<'_>, user_id: UserId, org_id: Option<OrgId>) -> Result<(), Error> {
    diesel::update(users::table.find(user_id))
        .set(users::last_org_id.eq(org_id))
        .execute(tx.conn)?;
    Ok(())
}

pub fn record_login(tx: &mut Tx<'_>, user_id: UserId, new_hash: Option<&str>) -> Result<(), Error> {
    let user = users::table.find(user_id);
    match new_hash {
        Some(hash) => diesel::update(user)
            .set((users::last_login_at.eq(tx.now), users::password_hash.eq(hash)))
            .execute(tx.conn)?,
        None => diesel::update(user)
            .set(users::last_login_at.eq(tx.now))
            .execute(tx.conn)?,
    };
    Ok(())
}

/// Ends one session of a person; false when there is no such live session.
pub fn end(tx: &mut Tx<'_>, user_id: UserId, id: SessionId, reason: EndReason) -> Result<bool, Error> {
    let live = sessions::table
        .find(id)
        .filter(sessions::user_id.eq(user_id))
        .filter(sessions::ended_at.is_null());
    let ended = diesel::update(live)
        .set((sessions::ended_at.eq(tx.now), sessions::end_reason.eq(reason.as_str())))
        .execute(tx.conn)?;
    Ok(ended == 1)
}

/// Ends all sessions of a person but one, if one is to stay.
pub fn end_all(tx: &mut Tx<'_>, user_id: UserId, except: Option<SessionId>, reason: EndReason) -> Result<usize, Error> {
    let ended = (sessions::ended_at.eq(tx.now), sessions::end_reason.eq(reason.as_str()));
    let live = diesel::update(sessions::table)
        .filter(sessions::user_id.eq(user_id))
        .filter(sessions::ended_at.is_null());
    Ok(match except {
        Some(id) => live.filter(sessions::id.ne(id)).set(ended).execute(tx.conn)?,
        None => live.set(ended).execute(tx.conn)?,
    })
}

/// A person's live sessions, the last used first.
pub fn list_live(tx: &mut Tx<'_>, user_id: UserId) -> Result<Vec<Session>, Error> {
    let all: Vec<Session> = sessions::table
        .filter(sessions::user_id.eq(user_id))
        .filter(sessions::ended_at.is_null())
        .filter(sessions::expires_at.gt(tx.now))
        .order((sessions::last_used_at.desc(), sessions::id.desc()))
        .select(Session::as_select())
        .load(tx.conn)?;
    Ok(all.into_iter().filter(|session| session.is_live(tx.now)).collect())
}

/// Those of these sessions whose person is not disabled.
pub fn list_of_enabled(tx: &mut Tx<'_>, ids: &[SessionId]) -> Result<Vec<Session>, Error> {
    Ok(sessions::table
        .inner_join(users::table)
        .filter(sessions::id.eq_any(ids))
        .filter(sessions::ended_at.is_null())
        .filter(users::disabled_at.is_null())
        .select(Session::as_select())
        .load(tx.conn)?)
}

/// Whether the person has logged in before, and whether with this program since `since`.
pub fn has_logged_in(
    tx: &mut Tx<'_>,
    user_id: UserId,
    user_agent: Option<&str>,
    since: DateTime<Utc>,
) -> Result<(bool, bool), Error> {
    let before = sessions::table.filter(sessions::user_id.eq(user_id));
    let with_this = before
        .filter(sessions::user_agent.is_not_distinct_from(user_agent))
        .filter(sessions::last_used_at.gt(since));
    Ok(diesel::select((exists(before), exists(with_this))).get_result(tx.conn)?)
}

/// What the row behind an access token says.
#[derive(Queryable)]
pub struct Authentication {
    pub session: Session,
    pub role: String,
    pub username: Option<String>,
    pub email: String,
    pub disabled_at: Option<DateTime<Utc>>,
    pub membership: Option<(MembershipId, String, Vec<String>)>,
}

/// Session, person and membership in one look.
pub fn find_authentication(
    tx: &mut Tx<'_>,
    id: SessionId,
    org_id: Option<OrgId>,
) -> Result<Option<Authentication>, Error> {
    let member = memberships::org_id
        .nullable()
        .eq(org_id)
        .and(memberships::user_id.eq(users::id));
    Ok(sessions::table
        .inner_join(users::table)
        .left_join(memberships::table.on(member))
        .filter(sessions::id.eq(id))
        .select((
            Session::as_select(),
            users::role,
            users::username,
            users::email,
            users::disabled_at,
            (memberships::id, memberships::role, memberships::disabled_services).nullable(),
        ))
        .first(tx.conn)
        .optional()?)
}

/// Removes an organisation that is about to be deleted from the sessions in which it is active.
pub fn clear_org(tx: &mut Tx<'_>, org_id: OrgId) -> Result<(), Error> {
    diesel::update(sessions::table.filter(sessions::org_id.eq(org_id)))
        .set(sessions::org_id.eq(None::<OrgId>))
        .execute(tx.conn)?;
    Ok(())
}
