//! The check of the current password before operations that need it.

use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, OfSession, Password, ThrottleKey};
use crate::error::{Code, Error, FieldCode, Invalid};
use crate::state::State;

/// The error for a wrong `current_password`, at its place in the body.
pub fn incorrect_password(pointer: &str) -> Error {
    Error::field(
        pointer,
        Invalid::new(FieldCode::Incorrect, "This is not your current password."),
    )
}

/// Checks the caller's current password, which the body holds at `pointer`, and returns the hash it was checked against.
/// The attempt counts in the same throttle as a login.
///
/// # Errors
/// `rate_limited`; `validation_error` with `incorrect`.
pub async fn check_password<P>(
    state: &State,
    caller: &Caller<P>,
    password: Password,
    pointer: &str,
) -> Result<String, Error> {
    let _place = state.hasher.reserve(caller.client.ip)?;
    let key = ThrottleKey::of_user(&state.secret, caller.user_id);
    let (throttle, user_id, now, ip) = (state.throttle, caller.user_id, caller.now(), caller.client.ip);
    let (attempt_id, hash) = state
        .db
        .transaction(now, move |tx| {
            let attempt_id = throttle.record_attempt(tx, &key, ip)?;
            super::find(tx, user_id).map(|user| (attempt_id, user.password_hash))
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
        return Ok(hash);
    }
    let entry = Entry::by(caller, Action::PasswordCheckFailed).failed();
    state.db.transaction(now, move |tx| audit::record(tx, entry)).await?;
    Err(incorrect_password(pointer))
}

/// Requires a recent authentication: the correct `current_password` in the body, or a session in which the password was
/// entered during the last ten minutes.
///
/// # Errors
/// As [`check_password`], if the body holds a password; otherwise `reauthentication_required` (RFC 9470).
pub async fn require_fresh<P: OfSession>(
    state: &State,
    caller: &Caller<P>,
    current_password: Option<Password>,
) -> Result<(), Error> {
    match current_password {
        Some(password) => check_password(state, caller, password, "#/current_password")
            .await
            .map(|_| ()),
        None if caller.is_fresh() => Ok(()),
        None => Err(Error::new(Code::ReauthenticationRequired)),
    }
}
