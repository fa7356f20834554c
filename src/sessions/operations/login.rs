//! Logging in with a password.

use chrono::{DateTime, TimeDelta, Utc};

use super::{grant, resolve_org};
use crate::account::registration;
use crate::audit::{self, Action, Entry};
use crate::auth::{AttemptId, Password, ThrottleKey};
use crate::db::Tx;
use crate::error::{Code, Error};
use crate::notifications::{self, Event};
use crate::sessions::device;
use crate::sessions::model::{EndReason, Grant, MAX_LIVE, Session};
use crate::sessions::store::{self, NewSession};
use crate::state::State;
use crate::users::{self, User};
use crate::values::ids::{OrgId, UserId};
use crate::values::{Client, EmailAddress, IdRef};

/// A device is new to an account if it was not used for this long.
const KNOWN_DEVICE_PERIOD: TimeDelta = TimeDelta::days(90);

pub struct Login {
    /// E-mail address or username, as entered.
    pub login: String,
    pub password: Password,
    /// The organisation in which the session acts. `None`: the one of the last login.
    pub org_id: Option<IdRef<OrgId>>,
}

/// An e-mail address in canonical form, or a username in lower case. Any other text finds no account. Blanks around it are
/// ignored: text fields and clipboards add them.
fn canonical(login: &str) -> String {
    let login = login.trim();
    if login.contains('@') {
        EmailAddress::try_from(login.to_owned()).map_or_else(|_| login.to_lowercase(), EmailAddress::into_string)
    } else {
        login.to_lowercase()
    }
}

/// Checks the password and starts a session.
///
/// The attempt is recorded before the password is checked, and the password is hashed outside of any transaction, because
/// that takes a core for milliseconds.
///
/// # Errors
/// `rate_limited`; `invalid_credentials`; `email_unverified` and `account_disabled` after a correct password only;
/// `not_found` when the user is not a member of the requested organisation.
pub async fn log_in(state: &State, client: Client, login: Login) -> Result<Grant, Error> {
    let Login {
        login,
        password,
        org_id,
    } = login;
    let login = canonical(&login);
    let _place = state.hasher.reserve(client.ip)?;
    let Attempt {
        verified_user,
        parameters_in_use,
        key,
        id: attempt_id,
    } = record_attempt(state, &client, login.clone()).await?;
    let user_id = verified_user.as_ref().map(|user| user.id);
    let hash = verified_user.as_ref().and_then(|user| user.password_hash.clone());
    let is_correct = state
        .hasher
        .verify_login(password.clone(), hash, parameters_in_use)
        .await;
    let is_correct = retract_on_error(state, client.now, attempt_id, is_correct).await?;
    let Some(user) = verified_user.filter(|_| is_correct) else {
        // Every refusal takes the same hashes, whether or not the login has an account or registrations.
        let is_pending = registration::is_password_pending(state, client.now, login, password).await;
        if !retract_on_error(state, client.now, attempt_id, is_pending).await? {
            return Err(refuse(state, client, user_id).await?);
        }
        // The attempt doesn't count, and those before it still do: anyone can register the address, and could otherwise find
        // out whether it has an account, or delete their failed attempts with the password of that registration.
        retract(state, client.now, attempt_id).await?;
        return Err(Error::new(Code::EmailUnverified));
    };
    let rehashed = match &user.password_hash {
        Some(hash) if state.hasher.is_outdated(hash) => Some(state.hasher.hash(password).await?),
        _ => None,
    };
    let checked = CheckedLogin { user, rehashed, org_id };
    let (throttle, client_of_session) = (state.throttle, client.clone());
    let started = state
        .db
        .transaction(client.now, move |tx| {
            let grant = start_session(tx, &client_of_session, &checked)?;
            // After the lock on the user, in the order that `auth/password/throttle.rs` demands.
            throttle.delete_attempts_from(tx, &key, client_of_session.ip)?;
            Ok(grant)
        })
        .await;
    if let Err(error) = &started {
        record_rollback(
            state,
            client,
            key,
            user_id.filter(|_| error.code() == Code::AccountDisabled),
        )
        .await?;
    }
    started
}

/// An attempt that is recorded, but not checked yet.
struct Attempt {
    verified_user: Option<User>,
    /// The parameters of all stored password hashes.
    parameters_in_use: Vec<String>,
    key: ThrottleKey,
    /// `None` while the throttle is off.
    id: Option<AttemptId>,
}

async fn retract(state: &State, now: DateTime<Utc>, attempt_id: Option<AttemptId>) -> Result<(), Error> {
    let Some(id) = attempt_id else { return Ok(()) };
    let throttle = state.throttle;
    state
        .db
        .transaction(now, move |tx| throttle.retract_attempt(tx, id))
        .await
}

/// A password that could not be checked is no failed attempt.
async fn retract_on_error<T>(
    state: &State,
    now: DateTime<Utc>,
    attempt_id: Option<AttemptId>,
    result: Result<T, Error>,
) -> Result<T, Error> {
    if result.is_err() {
        retract(state, now, attempt_id).await?;
    }
    result
}

/// Finds the account and records the attempt, before the password is checked.
async fn record_attempt(state: &State, client: &Client, login: String) -> Result<Attempt, Error> {
    let (secret, throttle, ip) = (state.secret.clone(), state.throttle, client.ip);
    state
        .db
        .transaction(client.now, move |tx| {
            let user = users::find_by_login(tx, &login)?;
            let verified_user = user.filter(|user| user.email_verified_at.is_some());
            let key = match &verified_user {
                Some(user) => ThrottleKey::of_user(&secret, user.id),
                None => ThrottleKey::of_unknown_login(&secret, &login),
            };
            let account = verified_user.as_ref().map(|user| user.id.uuid());
            let id = throttle
                .record_attempt(tx, &key, ip)
                .map_err(|error| error.about_account(account))?;
            Ok(Attempt {
                verified_user,
                parameters_in_use: users::list_hash_parameters(tx)?,
                key,
                id,
            })
        })
        .await
}

/// What remains of a login with a correct password whose transaction was rolled back: the attempt must not count as a failure,
/// and the audit log shows that the disabled account was tried.
async fn record_rollback(
    state: &State,
    client: Client,
    key: ThrottleKey,
    disabled: Option<UserId>,
) -> Result<(), Error> {
    let throttle = state.throttle;
    state
        .db
        .transaction(client.now, move |tx| {
            throttle.delete_attempts_from(tx, &key, client.ip)?;
            match disabled {
                Some(user_id) => audit::count(
                    tx,
                    Entry::by_anonymous(&client, Action::SessionLoginRefused)
                        .failed()
                        .user(user_id),
                ),
                None => Ok(()),
            }
        })
        .await
}

/// Counts a failed login, and returns the error for the client.
async fn refuse(state: &State, client: Client, user_id: Option<UserId>) -> Result<Error, Error> {
    let entry = Entry::by_anonymous(&client, Action::SessionLoginFailed)
        .failed()
        .user(user_id);
    state
        .db
        .transaction(client.now, move |tx| audit::count(tx, entry.clone()))
        .await?;
    Ok(Error::new(Code::InvalidCredentials))
}

/// A login whose password was correct for the hash in `user`.
struct CheckedLogin {
    user: User,
    /// The hash of the password under the current parameters, if the stored one is outdated.
    rehashed: Option<String>,
    org_id: Option<IdRef<OrgId>>,
}

fn start_session(tx: &mut Tx<'_>, client: &Client, checked: &CheckedLogin) -> Result<Grant, Error> {
    // The password may have changed and the user may have been disabled since the hash was read.
    let user = users::lock(tx, checked.user.id).map_err(|error| error.if_not_found(Code::InvalidCredentials))?;
    if user.password_hash != checked.user.password_hash {
        return Err(Error::new(Code::InvalidCredentials));
    }
    if user.disabled_at.is_some() {
        return Err(Error::new(Code::AccountDisabled));
    }
    let org = resolve_org(tx, user.id, checked.org_id, user.last_org_id)?;
    let org_id = org.as_ref().map(|org| org.id);
    let device = device::name(client.user_agent.as_deref());
    // Never at the first login.
    let is_new_device =
        user.last_login_at.is_some() && !store::has_device(tx, user.id, &device, tx.now - KNOWN_DEVICE_PERIOD)?;
    let new = NewSession {
        user_id: user.id,
        org_id,
        user_agent: client.user_agent.as_deref(),
        device: &device,
        ip: client.ip,
    };
    let session = store::insert(tx, &new)?;
    let ended = store::end_least_used(tx, user.id, MAX_LIVE, EndReason::LimitReached)?;
    users::record_login(tx, user.id, checked.rehashed.as_deref())?;
    if checked.org_id.is_some() {
        users::set_last_org(tx, user.id, org_id)?;
    }
    if is_new_device {
        notify_new_sign_in(tx, client, &session, &user)?;
    }
    let entry = Entry::by_user(client, user.id, user.name(), Action::SessionCreated);
    let mut entry = entry.object("session", session.id.uuid(), None);
    if ended > 0 {
        entry = entry.detail("ended_sessions", ended);
    }
    audit::record(tx, entry)?;
    Ok(grant(&session, &user, org, Some(session.refresh_token())))
}

fn notify_new_sign_in(tx: &mut Tx<'_>, client: &Client, session: &Session, user: &User) -> Result<(), Error> {
    let event = Event::NewSignIn {
        session_id: session.id,
        user_agent: client.user_agent.as_deref().map(str::to_owned),
        ip: client.ip,
    };
    notifications::notify(tx, user.into(), &event)
}
