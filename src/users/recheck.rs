//! The check of the current password before operations that need it.

use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, OfSession, Password, ThrottleKey, incorrect_password};
use crate::error::{Code, Error};
use crate::state::State;

/// Checks the caller's current password, which the body holds at `pointer`. The attempt counts in the same throttle as a
/// login. The transaction of the change checks that it is still the password: see [`Caller::confirm_password`].
///
/// # Errors
/// `rate_limited`; `validation_error` with `incorrect`.
pub async fn check_password<P>(
    state: &State,
    caller: &mut Caller<P>,
    password: Password,
    pointer: &'static str,
) -> Result<(), Error> {
    let _place = state.hasher.reserve(caller.client.ip)?;
    let key = ThrottleKey::of_user(&state.secret, caller.user_id);
    let (throttle, user_id, now, ip) = (state.throttle, caller.user_id, caller.now(), caller.client.ip);
    let (attempt_id, hash) = state
        .db
        .transaction(now, move |tx| {
            let attempt_id = throttle.record_attempt(tx, &key, ip)?;
            // The account may have been deleted since the request began.
            let user = super::find(tx, user_id).map_err(|error| error.if_not_found(Code::InvalidToken))?;
            Ok((attempt_id, user.password_hash))
        })
        .await?;
    let is_correct = state.hasher.verify(password, hash.clone()).await;
    // A password that could not be checked is no failed attempt.
    if let (Err(_), Some(id)) = (&is_correct, attempt_id) {
        state
            .db
            .transaction(now, move |tx| throttle.retract_attempt(tx, id))
            .await?;
    }
    let is_correct = is_correct?;
    if let Some(hash) = hash.filter(|_| is_correct) {
        state
            .db
            .transaction(now, move |tx| throttle.delete_attempts_from(tx, &key, ip))
            .await?;
        caller.confirm_password(&hash, pointer);
        return Ok(());
    }
    let entry = Entry::by(caller, Action::PasswordCheckFailed).failed();
    state
        .db
        .transaction(now, move |tx| audit::record(tx, entry.clone()))
        .await?;
    Err(incorrect_password(pointer))
}

/// Requires a recent authentication: the correct `current_password` in the body, or a session in which the password was
/// entered during the last ten minutes.
///
/// # Errors
/// As [`check_password`], if the body holds a password; otherwise `reauthentication_required` (RFC 9470).
pub async fn require_fresh<P: OfSession>(
    state: &State,
    caller: &mut Caller<P>,
    current_password: Option<Password>,
) -> Result<(), Error> {
    match current_password {
        Some(password) => check_password(state, caller, password, "#/current_password").await,
        None if caller.is_fresh() => Ok(()),
        None => Err(Error::new(Code::ReauthenticationRequired)),
    }
}
