//! Changing and resetting the password.

use chrono::TimeDelta;

use crate::account::{email, registration};
use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, Password, PasswordPolicy, Session, ThrottleKey};
use crate::db::Tx;
use crate::error::{Code, Error, FieldCode, FieldError, Invalid};
use crate::notifications::email::limit::{self, Requester};
use crate::notifications::email::outbox;
use crate::notifications::{self, Event, Link, PasswordChangeMethod};
use crate::one_time_tokens::{self, Target};
use crate::secret::{Purpose, ServerSecret, Token};
use crate::sessions::{self, EndReason};
use crate::state::State;
use crate::users::{self, User};
use crate::values::{Client, EmailAddress, Fields};

/// How long the link for a password reset is valid.
const RESET_LIFETIME: TimeDelta = Link::ResetPassword.lifetime();

/// Everything that is wrong with the new password in a request of `user`, as a form sends it. The fields stay in place, so that
/// these errors and those of all other fields go into one response.
async fn new_password_errors(policy: &PasswordPolicy, user: &User, fields: &Fields) -> Result<Vec<FieldError>, Error> {
    let Some(password) = fields.peek::<Password>("new_password") else {
        return Ok(Vec::new());
    };
    let mut errors = policy
        .errors(&password, &user.personal_words(), "#/new_password")
        .await?;
    // The same password again, if the form asks for it twice.
    let confirmation = fields.peek::<Option<Password>>("confirm_password").flatten();
    if confirmation.is_some_and(|confirmation| confirmation.expose() != password.expose()) {
        let mismatch = Invalid::new(FieldCode::Mismatch, "The two passwords differ.");
        errors.push(mismatch.at("#/confirm_password"));
    }
    // Absent from a reset.
    let current = fields.peek::<Password>("current_password");
    if current.is_some_and(|current| current.expose() == password.expose()) {
        let same = Invalid::new(FieldCode::SameAsCurrent, "This is your current password.");
        errors.push(same.at("#/new_password"));
    }
    Ok(errors)
}

/// Everything that is wrong with the new password in a request to change it.
///
/// # Errors
/// `unavailable` while too many passwords are judged.
pub async fn change_errors(state: &State, caller: &Caller<Session>, fields: &Fields) -> Result<Vec<FieldError>, Error> {
    // With the caller checked again: the body may have come long after the credential was revoked.
    let find = |tx: &mut Tx<'_>, caller: &Caller<Session>| users::find(tx, caller.user_id);
    let user = caller.clone().transaction(state, find).await?;
    new_password_errors(&state.policy, &user, fields).await
}

/// Changes the caller's password to one with none of the [`change_errors`], and ends all other sessions.
///
/// # Errors
/// `validation_error` when the current password is wrong; `rate_limited`.
pub async fn change(state: &State, mut caller: Caller<Session>, current: Password, new: Password) -> Result<(), Error> {
    users::check_password(state, &mut caller, current, "#/current_password").await?;
    let _place = state.hasher.reserve(caller.client.ip)?;
    let new_hash = state.hasher.hash(new).await?;
    caller
        .transaction(state, move |tx, caller| store_change(tx, caller, &new_hash))
        .await
}

fn store_change(tx: &mut Tx<'_>, caller: &Caller<Session>, new_hash: &str) -> Result<(), Error> {
    let user = users::find(tx, caller.user_id)?;
    users::set_password(tx, user.id, new_hash)?;
    sessions::end_others(tx, caller, caller.session_id()?, EndReason::PasswordChanged)?;
    finish_change(tx, &user, PasswordChangeMethod::CurrentPassword)?;
    audit::record(tx, Entry::by(caller, Action::PasswordChanged))
}

/// Invalidates pending resets, cancels the pending change of e-mail address and notifies the user, after a change or a
/// reset.
fn finish_change(tx: &mut Tx<'_>, user: &User, method: PasswordChangeMethod) -> Result<(), Error> {
    one_time_tokens::invalidate(tx, Purpose::ResetPassword, Target::User(user.id))?;
    limit::forget_resets(tx, &user.email)?;
    email::cancel_pending(tx, user.id)?;
    notifications::notify(tx, user.into(), &Event::PasswordChanged { method })
}

/// Mails a link for a password reset, if the address has an account. Earlier links keep working, so that a stranger's request
/// takes nothing from the owner. The audit log counts the request in any case.
pub fn request_reset(
    tx: &mut Tx<'_>,
    secret: &ServerSecret,
    client: &Client,
    address: &EmailAddress,
) -> Result<(), Error> {
    let user = users::lock_by_email(tx, address.as_str())?;
    let user_id = user.as_ref().map(|user| user.id);
    let may_mail = limit::admit_reset(tx, Requester::Client(client.ip), address.as_str())?;
    if let Some(user) = user.filter(|_| may_mail) {
        let target = Target::User(user.id);
        let token_id = one_time_tokens::issue(tx, secret, Purpose::ResetPassword, target, RESET_LIFETIME)?;
        users::keep_unverified(tx, &user.email)?;
        outbox::enqueue(tx, &user.email, user.locale, &Event::ResetPassword { token_id })?;
    }
    let entry = Entry::by_anonymous(client, Action::PasswordResetRequested).user(user_id);
    audit::count(tx, entry)
}

fn invalid_link() -> Error {
    Error::new(Code::LinkExpiredOrUsed)
}

/// Everything that is wrong with the new password in a request to reset it. It is not judged if the link doesn't work.
///
/// # Errors
/// `unavailable` while too many passwords are judged.
pub async fn reset_errors(state: &State, client: &Client, fields: &Fields) -> Result<Vec<FieldError>, Error> {
    let Some(token) = fields.peek::<String>("token") else {
        return Ok(Vec::new());
    };
    let token = Token::new(token);
    match state
        .db
        .read(client.now, move |tx| find_by_reset_token(tx, &token))
        .await?
    {
        Some(user) => new_password_errors(&state.policy, &user, fields).await,
        None => Ok(Vec::new()),
    }
}

/// Sets a new password, with none of the [`reset_errors`], by the token of a mailed link, and ends all sessions. Using the link
/// also verifies the address.
///
/// # Errors
/// `link_expired_or_used`.
pub async fn reset(state: &State, client: Client, token: Token, new: Password) -> Result<(), Error> {
    let (now, token_to_find) = (client.now, token.clone());
    // First, so that requests with invalid tokens don't keep a core busy with hashing.
    state
        .db
        .read(now, move |tx| find_by_reset_token(tx, &token_to_find))
        .await?
        .ok_or_else(invalid_link)?;
    let _place = state.hasher.reserve(client.ip)?;
    let new_hash = state.hasher.hash(new).await?;
    let (secret, throttle) = (state.secret.clone(), state.throttle);
    state
        .db
        .transaction(now, move |tx| {
            let user = store_reset(tx, &client, &token, &new_hash)?;
            throttle.delete_attempts(tx, &ThrottleKey::of_user(&secret, user.id))
        })
        .await
}

fn find_by_reset_token(tx: &mut Tx<'_>, token: &Token) -> Result<Option<User>, Error> {
    match one_time_tokens::peek(tx, Purpose::ResetPassword, token)? {
        Some(Target::User(id)) => users::find(tx, id).map(Some),
        _ => Ok(None),
    }
}

fn store_reset(tx: &mut Tx<'_>, client: &Client, token: &Token, new_hash: &str) -> Result<User, Error> {
    let found = find_by_reset_token(tx, token)?.ok_or_else(invalid_link)?;
    let user = users::lock(tx, found.id).map_err(|error| error.if_not_found(Code::LinkExpiredOrUsed))?;
    // Only now, because an operation that invalidates the link locks the account first.
    one_time_tokens::consume(tx, Purpose::ResetPassword, token)?;
    users::set_password(tx, user.id, new_hash)?;
    if user.email_verified_at.is_none() {
        registration::reset_role(tx, client, &user)?;
    }
    registration::delete_by_email(tx, &user.email)?;
    sessions::end_all(tx, user.id, EndReason::PasswordChanged)?;
    finish_change(tx, &user, PasswordChangeMethod::ResetLink)?;
    audit::record(tx, Entry::by_user(client, user.id, user.name(), Action::PasswordReset))?;
    Ok(user)
}
