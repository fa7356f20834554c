//! The password, checked again before something that needs it.

use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, OfSession, Password, ThrottleKey};
use crate::error::{Code, Error, FieldCode, Invalid};
use crate::state::State;

/// Checks the caller's present password, which the body gave at `pointer`, and gives the hash it was checked against. Every
/// failure counts against the one throttle.
///
/// # Errors
/// `rate_limited`; `validation_error` with `incorrect`.
pub async fn check_password<P>(
    state: &State,
    caller: &Caller<P>,
    password: Password,
    pointer: &str,
) -> Result<String, Error> {
    let account = ThrottleKey::of_user(&state.secret, caller.user_id);
    let (throttle, user_id, now, ip) = (state.throttle, caller.user_id, caller.now(), caller.client.ip);
    let hash = state
        .db
        .transaction(now, move |tx| {
            throttle.admit(tx, &account, ip)?;
            super::find(tx, user_id).map(|user| user.password_hash)
        })
        .await?;
    let right = state.hasher.verify(password, hash.clone()).await?;
    if let Some(hash) = hash.filter(|_| right) {
        state
            .db
            .transaction(now, move |tx| throttle.clear(tx, &account, ip))
            .await?;
        return Ok(hash);
    }
    let entry = Entry::by(caller, Action::PasswordCheckFailed).failed();
    state.db.transaction(now, move |tx| audit::record(tx, entry)).await?;
    Err(Error::field(
        pointer,
        Invalid::new(FieldCode::Incorrect, "This is not the present password."),
    ))
}

/// Lets through who showed the password just now, in the body (at `#/current_password`) or to the session.
///
/// # Errors
/// As [`check_password`] for a password in the body; `reauthentication_required` without one, when the session is not
/// fresh (RFC 9470).
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
