//! Changing and resetting the password.

use chrono::TimeDelta;

use crate::account::{email, registration};
use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, Password, PasswordPolicy, Session, ThrottleKey};
use crate::db::Tx;
use crate::error::{Code, Error, FieldCode, FieldError, Invalid};
use crate::notifications::email::{MailLimit, outbox};
use crate::notifications::{self, Event, Link, PasswordChangeMethod};
use crate::one_time_tokens::{self, Target};
use crate::secret::{Purpose, ServerSecret, Token};
use crate::sessions::{self, EndReason};
use crate::state::State;
use crate::users::{self, User};
use crate::values::{Client, EmailAddress};

/// How long the link for a password reset is valid.
const RESET_LIFETIME: TimeDelta = Link::ResetPassword.lifetime();

/// A new password, as a form sends it.
pub struct NewPassword {
    pub password: Password,
    /// The same password again, if the form asks for it twice.
    pub confirmation: Option<Password>,
}

impl NewPassword {
    /// Everything that is wrong with the new password.
    fn errors(&self, policy: &PasswordPolicy, personal_words: &[&str]) -> Vec<FieldError> {
        let problems = policy.assess(&self.password, personal_words).problems;
        let mut errors: Vec<FieldError> = problems
            .into_iter()
            .map(|problem| problem.at("#/new_password"))
            .collect();
        let differs = |confirmation: &Password| confirmation.expose() != self.password.expose();
        if self.confirmation.as_ref().is_some_and(differs) {
            let mismatch = Invalid::new(FieldCode::Mismatch, "The two passwords differ.");
            errors.push(mismatch.at("#/confirm_password"));
        }
        errors
    }
}

/// Changes the caller's password, and ends all other sessions.
///
/// # Errors
/// `validation_error` with everything that is wrong with the new password, or else when the current one is wrong;
/// `rate_limited`.
pub async fn change(state: &State, caller: Caller<Session>, current: Password, new: NewPassword) -> Result<(), Error> {
    let (now, user_id) = (caller.now(), caller.user_id);
    let user = state.db.read(now, move |tx| users::find(tx, user_id)).await?;
    let mut errors = new.errors(&state.policy, &user.personal_words());
    if new.password.expose() == current.expose() {
        let same = Invalid::new(FieldCode::SameAsCurrent, "This is your current password.");
        errors.push(same.at("#/new_password"));
    }
    if !errors.is_empty() {
        return Err(Error::validation(errors));
    }
    let checked_hash = users::check_password(state, &caller, current, "#/current_password").await?;
    let _place = state.hasher.reserve(caller.client.ip)?;
    let new_hash = state.hasher.hash(new.password).await?;
    state
        .db
        .transaction(now, move |tx| store_change(tx, &caller, &checked_hash, &new_hash))
        .await
}

/// Stores the new password unless it was changed after `checked_hash` was read.
fn store_change(tx: &mut Tx<'_>, caller: &Caller<Session>, checked_hash: &str, new_hash: &str) -> Result<(), Error> {
    let user = users::lock(tx, caller.user_id)?;
    if !users::set_password(tx, user.id, Some(checked_hash), new_hash)? {
        return Err(users::incorrect_password("#/current_password"));
    }
    sessions::end_others(tx, caller, caller.session_id()?, EndReason::PasswordChanged)?;
    finish_change(tx, &user, PasswordChangeMethod::CurrentPassword)?;
    audit::record(tx, Entry::by(caller, Action::PasswordChanged))
}

/// Invalidates pending resets, cancels the pending change of e-mail address and notifies the user, after a change or a
/// reset.
fn finish_change(tx: &mut Tx<'_>, user: &User, method: PasswordChangeMethod) -> Result<(), Error> {
    one_time_tokens::invalidate(tx, Purpose::ResetPassword, Target::User(user.id))?;
    email::cancel_pending(tx, user.id)?;
    notifications::notify(tx, user.into(), &Event::PasswordChanged { method })
}

/// Mails a link for a password reset, if the address has an account. The audit log counts the request in any case.
pub fn request_reset(
    tx: &mut Tx<'_>,
    secret: &ServerSecret,
    limit: MailLimit,
    client: &Client,
    address: &EmailAddress,
) -> Result<(), Error> {
    let user = users::find_by_login(tx, address.as_str())?;
    let user_id = user.as_ref().map(|user| user.id);
    if let Some(user) = user
        && limit.allows_reset(tx, &user.email)?
    {
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

/// Sets a new password with the token of a mailed link, and ends all sessions. Using the link also verifies the address.
///
/// # Errors
/// `validation_error` with everything that is wrong with the new password; `link_expired_or_used`.
pub async fn reset(state: &State, client: Client, token: Token, new: NewPassword) -> Result<(), Error> {
    let (now, token_to_find) = (client.now, token.clone());
    let user = state
        .db
        .read(now, move |tx| find_by_reset_token(tx, &token_to_find))
        .await?;
    let personal_words = user.as_ref().map(User::personal_words).unwrap_or_default();
    let errors = new.errors(&state.policy, &personal_words);
    if !errors.is_empty() {
        return Err(Error::validation(errors));
    }
    // Before the hashing, so that requests with invalid tokens don't keep a core busy.
    if user.is_none() {
        return Err(invalid_link());
    }
    let _place = state.hasher.reserve(client.ip)?;
    let new_hash = state.hasher.hash(new.password).await?;
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
    let Target::User(id) = one_time_tokens::consume(tx, Purpose::ResetPassword, token)? else {
        return Err(invalid_link());
    };
    let user = users::lock(tx, id).map_err(|error| error.if_not_found(Code::LinkExpiredOrUsed))?;
    if !users::set_password(tx, user.id, user.password_hash.as_deref(), new_hash)? {
        return Err(invalid_link());
    }
    if user.email_verified_at.is_none() {
        registration::reset_role(tx, client, &user)?;
    }
    registration::delete_by_email(tx, &user.email)?;
    sessions::end_all(tx, user.id, EndReason::PasswordChanged)?;
    finish_change(tx, &user, PasswordChangeMethod::ResetLink)?;
    audit::record(tx, Entry::by_user(client, user.id, user.name(), Action::PasswordReset))?;
    Ok(user)
}
