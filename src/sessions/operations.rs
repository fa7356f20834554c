//! What can be done with sessions.

use std::sync::Arc;

use crate::db::Tx;
use chrono::TimeDelta;

use super::model::{EndReason, Grant, RETRY_WINDOW, Session};
use super::store::{self, NewSession, RefreshToken};
use crate::account;
use crate::audit::{self, Action, Entry};
use crate::auth::{ActiveOrg, Caller, Claims, Credential, OrgRole, Password, PlatformRole, Principal, ThrottleKey};
use crate::credential_cache::ResolvedSession;
use crate::error::{Code, Error};
use crate::notifications::{self, Event};
use crate::orgs::membership::{self, OrgSummary};
use crate::secret::{ServerSecret, Token};
use crate::state::State;
use crate::users::{self, User};
use crate::values::Client;
use crate::values::ids::{OrgId, RefreshTokenId, SessionId, UserId};

/// A program not seen for this long is a new one.
const DEVICE_MEMORY: TimeDelta = TimeDelta::days(90);

/// Who the bearer of an access token is: nobody, when the session has ended, the person is disabled, or is no longer a
/// member of the organisation the token was issued for. Whether the session's time is over is for each use to ask.
///
/// # Errors
/// When the database fails.
pub fn find_standing(tx: &mut Tx<'_>, claims: &Claims) -> Result<Option<ResolvedSession>, Error> {
    let Some(found) = store::find_authentication(tx, claims.sid, claims.org_id)? else {
        return Ok(None);
    };
    let session = found.session;
    if session.ended_at.is_some() || found.disabled_at.is_some() || session.user_id != claims.sub {
        return Ok(None);
    }
    let (org, disabled_services, membership_id) = match (claims.org_id, found.membership) {
        (None, _) => (None, Vec::new(), None),
        (Some(_), None) => return Ok(None),
        (Some(org_id), Some((id, role, disabled_services))) => {
            let role = OrgRole::stored(&role);
            (Some(ActiveOrg { org_id, role }), disabled_services, Some(id))
        }
    };
    let authenticated = Principal {
        user_id: session.user_id,
        name: found.username.clone().unwrap_or(found.email),
        username: found.username,
        role: PlatformRole::stored(&found.role),
        org,
        disabled_services,
        credential: Credential::Session {
            id: session.id,
            authenticated_at: session.authenticated_at,
        },
    };
    Ok(Some(ResolvedSession {
        id: session.id,
        principal: Arc::new(authenticated),
        membership_id,
        ends_at: session.ends_at(),
    }))
}

/// Who wants to log in, and where to.
pub struct Login {
    /// Canonical address or username, or whatever else was typed.
    pub login: String,
    pub password: Password,
    /// The organisation asked for; `Some(None)` is one that cannot exist.
    pub org_id: Option<Option<OrgId>>,
}

/// Logs somebody in.
///
/// # Errors
/// `rate_limited`; `invalid_credentials`; `email_unverified` and `account_disabled` after the right password only;
/// `not_found` for an organisation they are no member of.
pub async fn log_in(state: &State, client: Client, attempt: Login) -> Result<Grant, Error> {
    let Login {
        login,
        password,
        org_id,
    } = attempt;
    let (secret, throttle, looker) = (state.secret.clone(), state.throttle, client.clone());
    let typed = login.clone();
    let (user, account) = state
        .db
        .transaction(client.now, move |tx| {
            let user = users::find_by_login(tx, &login)?;
            let account = match &user {
                Some(user) => ThrottleKey::of_user(&secret, user.id),
                None => ThrottleKey::of_nobody(&secret, &login),
            };
            throttle.admit(tx, &account, looker.ip)?;
            Ok((user, account))
        })
        .await?;
    let email = user.as_ref().map_or(typed, |user| user.email.clone());
    let proven = user.filter(|user| user.email_verified_at.is_some());
    let hash = proven.as_ref().and_then(|user| user.password_hash.clone());
    let right = state.hasher.verify(password.clone(), hash).await?;
    let is_proven = proven.is_some();
    let Some(user) = proven.filter(|_| right) else {
        // As much work whether or not there is an open sign-up.
        let registered = state
            .db
            .read(client.now, move |tx| account::registered_hash(tx, &email))
            .await?;
        let signs_up = state.hasher.verify(password, registered).await?;
        return Err(refuse(state, client, account, (is_proven, signs_up)).await?);
    };
    let outdated = user
        .password_hash
        .as_deref()
        .is_some_and(|hash| state.hasher.is_outdated(hash));
    let new_hash = if outdated {
        Some(state.hasher.hash(password).await?)
    } else {
        None
    };
    let (secret, throttle, ip, now) = (state.secret.clone(), state.throttle, client.ip, client.now);
    let begun = state
        .db
        .transaction(client.now, move |tx| {
            throttle.clear(tx, &account, client.ip)?;
            begin(tx, &secret, &client, &user, new_hash.as_deref(), org_id)
        })
        .await;
    if begun.is_err() {
        // The password was right all the same, and what fails after it is no guess.
        state
            .db
            .transaction(now, move |tx| throttle.clear(tx, &account, ip))
            .await?;
    }
    let (grant, _mailed) = begun?;
    Ok(grant)
}

/// The password is not that of a proven account; whether it is that of the newest open sign-up decides which refusal it
/// is. Where there is a proven account the attempt counts either way: anybody can sign up with its address, and must not
/// be able to take their guesses back by it.
async fn refuse(
    state: &State,
    client: Client,
    account: ThrottleKey,
    (is_proven, signs_up): (bool, bool),
) -> Result<Error, Error> {
    if signs_up {
        if !is_proven {
            let (throttle, ip) = (state.throttle, client.ip);
            state
                .db
                .transaction(client.now, move |tx| throttle.clear(tx, &account, ip))
                .await?;
        }
        return Ok(Error::new(Code::EmailUnverified));
    }
    let entry = Entry::by_anybody(&client, Action::SessionLoginFailed).failed();
    state
        .db
        .transaction(client.now, move |tx| audit::record(tx, entry))
        .await?;
    Ok(Error::new(Code::InvalidCredentials))
}

/// Begins a session for somebody whose password was right a moment ago; says whether a mail tells them of it.
fn begin(
    tx: &mut Tx<'_>,
    secret: &ServerSecret,
    client: &Client,
    seen: &User,
    new_hash: Option<&str>,
    org_id: Option<Option<OrgId>>,
) -> Result<(Grant, bool), Error> {
    let now = client.now;
    // Between the look at the hash and this lock the password may have been changed, or the person disabled.
    let user = users::lock(tx, seen.id).map_err(|_| Error::new(Code::InvalidCredentials))?;
    if user.password_hash != seen.password_hash {
        return Err(Error::new(Code::InvalidCredentials));
    }
    if user.disabled_at.is_some() {
        return Err(Error::new(Code::AccountDisabled));
    }
    let org = match org_id {
        Some(org_id) => Some(wanted(tx, org_id, user.id)?),
        None => summary(tx, user.last_org_id, user.id)?,
    };
    let user_agent = client.user_agent.as_deref();
    let (before, with_this) = store::has_logged_in(tx, user.id, user_agent, now - DEVICE_MEMORY)?;
    let new = NewSession {
        user_id: user.id,
        org_id: org.as_ref().map(|org| org.id),
        user_agent,
        ip: client.ip,
    };
    let session = store::insert(tx, &new)?;
    let refresh_token_id = RefreshTokenId::new(now);
    store::insert_refresh_token(tx, secret, session.id, refresh_token_id)?;
    store::record_login(tx, user.id, new_hash)?;
    if org_id.is_some() {
        store::set_last_org(tx, user.id, org.as_ref().map(|org| org.id))?;
    }
    let is_new_device = before && !with_this;
    if is_new_device {
        let user_agent = client.user_agent.as_deref().map(str::to_owned);
        let event = Event::NewSignIn {
            session_id: session.id,
            user_agent,
            ip: client.ip,
        };
        notifications::notify(tx, (&user).into(), &event)?;
    }
    let entry = Entry::by_user(client, user.id, user.name(), Action::SessionCreated);
    audit::record(tx, entry.object("session", session.id.uuid(), None))?;
    Ok((grant(&session, &user, org, Some(refresh_token_id)), is_new_device))
}

fn grant(session: &Session, user: &User, org: Option<OrgSummary>, refresh_token_id: Option<RefreshTokenId>) -> Grant {
    Grant {
        session_id: session.id,
        user_id: user.id,
        role: user.role(),
        authenticated_at: session.authenticated_at,
        ends_at: session.ends_at(),
        org,
        profile_complete: user.profile_complete(),
        refresh_token_id,
    }
}

/// The organisation somebody asked to act in.
fn wanted(tx: &mut Tx<'_>, org_id: Option<OrgId>, user_id: UserId) -> Result<OrgSummary, Error> {
    let org_id = org_id.ok_or_else(Error::not_found)?;
    Ok(membership::require(tx, org_id, user_id)?.summary())
}

fn summary(tx: &mut Tx<'_>, org_id: Option<OrgId>, user_id: UserId) -> Result<Option<OrgSummary>, Error> {
    let Some(org_id) = org_id else { return Ok(None) };
    Ok(membership::find(tx, org_id, user_id)?.map(|membership| membership.summary()))
}

/// What came of presenting a refresh token. That it was one too old must be kept, so it is no error to the transaction.
pub enum Refreshed {
    Granted(Box<Grant>),
    Reused,
}

/// Exchanges a refresh token for the next one.
///
/// # Errors
/// `invalid_token`; `not_found` for an organisation the person is no member of, and then the token stays good.
pub fn refresh(
    tx: &mut Tx<'_>,
    secret: &ServerSecret,
    client: &Client,
    token: &Token,
    org_id: Option<Option<OrgId>>,
) -> Result<Refreshed, Error> {
    let now = client.now;
    let invalid = || Error::new(Code::InvalidToken);
    let (session, token) = store::lock_by_refresh_token(tx, &token.hash())?.ok_or_else(invalid)?;
    let user = users::find(tx, session.user_id).map_err(|_| invalid())?;
    if !session.is_live(now) || user.disabled_at.is_some() {
        return Err(invalid());
    }
    let org = match org_id {
        Some(org_id) => Some(wanted(tx, org_id, user.id)?),
        None => summary(tx, session.org_id, user.id)?,
    };
    let successor_id = match token {
        RefreshToken {
            used_at: Some(used_at),
            successor_id: Some(successor_id),
            ..
        } => {
            let lost_answer = now - used_at <= RETRY_WINDOW && store::is_unused(tx, successor_id)?;
            if !lost_answer {
                revoke_reused(tx, client, &session, &user)?;
                return Ok(Refreshed::Reused);
            }
            successor_id
        }
        RefreshToken { id, .. } => {
            let successor_id = RefreshTokenId::new(now);
            store::use_refresh_token(tx, id, successor_id)?;
            store::insert_refresh_token(tx, secret, session.id, successor_id)?;
            successor_id
        }
    };
    let session = store::touch(tx, session.id, org.as_ref().map(|org| org.id))?;
    if org_id.is_some() {
        store::set_last_org(tx, user.id, org.as_ref().map(|org| org.id))?;
    }
    Ok(Refreshed::Granted(Box::new(grant(
        &session,
        &user,
        org,
        Some(successor_id),
    ))))
}

/// Two parties hold the chain of this session: it ends, and its owner is told.
fn revoke_reused(tx: &mut Tx<'_>, client: &Client, session: &Session, user: &User) -> Result<(), Error> {
    store::end(tx, user.id, session.id, EndReason::TokenReused)?;
    let event = Event::RefreshTokenReused {
        session_id: session.id,
        ip: client.ip,
    };
    notifications::notify(tx, user.into(), &event)?;
    let entry = Entry::by_anybody(client, Action::SessionRefreshTokenReused)
        .failed()
        .user(user.id);
    audit::record(tx, entry.object("session", session.id.uuid(), None))
}

/// Ends the session of a refresh token, used or not; nothing happens for one that is unknown.
pub fn log_out_with(tx: &mut Tx<'_>, client: &Client, token: &Token) -> Result<(), Error> {
    let Some((session, _)) = store::lock_by_refresh_token(tx, &token.hash())? else {
        return Err(Error::new(Code::InvalidToken));
    };
    if store::end(tx, session.user_id, session.id, EndReason::LoggedOut)? {
        let user = users::find(tx, session.user_id)?;
        let entry = Entry::by_user(client, user.id, user.name(), Action::SessionEnded);
        audit::record(tx, entry.object("session", session.id.uuid(), None))?;
    }
    Ok(())
}

/// Ends a session of the caller's.
///
/// # Errors
/// `not_found` for one that is not theirs, or has ended.
pub fn end<P>(tx: &mut Tx<'_>, caller: &Caller<P>, id: SessionId, reason: EndReason) -> Result<(), Error> {
    if !store::end(tx, caller.user_id, id, reason)? {
        return Err(Error::not_found());
    }
    audit::record(
        tx,
        Entry::by(caller, Action::SessionEnded).object("session", id.uuid(), None),
    )
}

/// Ends every session of the caller's but the one that calls.
///
/// # Errors
/// When the database fails.
pub fn end_others<P>(tx: &mut Tx<'_>, caller: &Caller<P>, except: SessionId, reason: EndReason) -> Result<(), Error> {
    let ended = store::end_all(tx, caller.user_id, Some(except), reason)?;
    if ended > 0 {
        audit::record(tx, Entry::by(caller, Action::SessionOthersEnded).detail("count", ended))?;
    }
    Ok(())
}

/// Ends every session of a person; what led to it is on record already.
///
/// # Errors
/// When the database fails.
pub fn end_all(tx: &mut Tx<'_>, user_id: UserId, reason: EndReason) -> Result<usize, Error> {
    store::end_all(tx, user_id, None, reason)
}

/// Those of these sessions that are good still, and whose person is not disabled.
///
/// # Errors
/// When the database fails.
pub fn live_among(tx: &mut Tx<'_>, ids: &[SessionId]) -> Result<Vec<SessionId>, Error> {
    let sessions = store::list_of_enabled(tx, ids)?;
    Ok(sessions
        .into_iter()
        .filter(|session| session.is_live(tx.now))
        .map(|session| session.id)
        .collect())
}

/// The caller's live sessions.
pub fn list(tx: &mut Tx<'_>, user_id: UserId) -> Result<Vec<Session>, Error> {
    store::list_live(tx, user_id)
}

/// The caller has shown their password again.
///
/// # Errors
/// `invalid_token` when the session has ended meanwhile.
pub fn reauthenticate<P>(tx: &mut Tx<'_>, caller: &Caller<P>, id: SessionId) -> Result<Grant, Error> {
    let session = store::set_authenticated(tx, id)?.ok_or_else(|| Error::new(Code::InvalidToken))?;
    let user = users::find(tx, caller.user_id)?;
    let org = summary(tx, caller.org.map(|acting| acting.org_id), caller.user_id)?;
    audit::record(
        tx,
        Entry::by(caller, Action::SessionReauthenticated).object("session", id.uuid(), None),
    )?;
    Ok(grant(&session, &user, org, None))
}

/// From now on the session acts in this organisation, and the next login starts there.
///
/// # Errors
/// `not_found` for an organisation the caller is no member of; `invalid_token` when the session has ended meanwhile.
pub fn switch_org<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    session_id: SessionId,
    org_id: OrgId,
) -> Result<Grant, Error> {
    let org = membership::require(tx, org_id, caller.user_id)?.summary();
    let session = store::set_org(tx, session_id, Some(org_id))?.ok_or_else(|| Error::new(Code::InvalidToken))?;
    store::set_last_org(tx, caller.user_id, Some(org_id))?;
    let user = users::find(tx, caller.user_id)?;
    audit::record(
        tx,
        Entry::by(caller, Action::SessionOrgSwitched)
            .org(org_id)
            .object("org", org_id.uuid(), org.name.clone()),
    )?;
    Ok(grant(&session, &user, Some(org), None))
}
