//! What can be done with passwords.

use crate::db::Tx;
use chrono::TimeDelta;

use crate::account;
use crate::account::email;
use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, Session, Throttle, ThrottleKey};
use crate::error::{Code, Error, FieldCode, Invalid};
use crate::notifications::email::{Link, MailLimit, outbox};
use crate::notifications::{self, Event, PasswordChangeMethod};
use crate::one_time_tokens::{self, Target};
use crate::secret::{Purpose, ServerSecret, Token};
use crate::sessions::{self, EndReason};
use crate::users::{self, User};
use crate::values::Client;
use crate::values::EmailAddress;
use crate::values::ids::{SessionId, UserId};

/// How long a link to set the password anew is good.
const RESET_LIFETIME: TimeDelta = Link::ResetPassword.lifetime();

/// Ends what is under way with an account whose password is another now, and tells its owner.
fn settle(tx: &mut Tx<'_>, user: &User, method: PasswordChangeMethod) -> Result<(), Error> {
    one_time_tokens::invalidate(tx, Purpose::ResetPassword, Target::User(user.id))?;
    email::cancel_pending(tx, user.id)?;
    notifications::notify(tx, user.into(), &Event::PasswordChanged { method })
}

/// Changes the caller's password. `seen` is the hash that the present one was checked against.
///
/// # Errors
/// `validation_error` when the password was changed since.
pub fn change(
    tx: &mut Tx<'_>,
    caller: &Caller<Session>,
    session_id: SessionId,
    seen: &str,
    new_hash: &str,
) -> Result<(), Error> {
    let user = users::lock(tx, caller.user_id)?;
    if !users::set_password(tx, user.id, Some(seen), new_hash)? {
        let changed = Invalid::new(FieldCode::Incorrect, "This is not the present password.");
        return Err(Error::field("#/current_password", changed));
    }
    sessions::end_others(tx, caller, session_id, EndReason::PasswordChanged)?;
    settle(tx, &user, PasswordChangeMethod::CurrentPassword)?;
    audit::record(tx, Entry::by(caller, Action::PasswordChanged))
}

/// Mails a link to set the password anew, if there is such an account; either way the request is on record.
pub fn forget(
    tx: &mut Tx<'_>,
    (secret, limit): (&ServerSecret, MailLimit),
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
        outbox::enqueue(tx, &user.email, user.locale(), &Event::ResetPassword { token_id })?;
    }
    let entry = Entry::by_anybody(client, Action::PasswordResetRequested).user(user_id);
    audit::record(tx, entry.object("email", None, address.to_string()))
}

/// Whose password a link sets anew, while it is good.
pub fn owner_of(tx: &mut Tx<'_>, token: &Token) -> Result<Option<User>, Error> {
    match one_time_tokens::peek(tx, Purpose::ResetPassword, token)? {
        Some(Target::User(id)) => users::find(tx, id).map(Some),
        _ => Ok(None),
    }
}

/// Sets a forgotten password anew. The mailbox has shown itself, so the address is proven by it, too.
///
/// # Errors
/// `link_expired_or_used`.
pub fn reset(
    tx: &mut Tx<'_>,
    (secret, throttle): (&ServerSecret, Throttle),
    client: &Client,
    token: &Token,
    new_hash: &str,
) -> Result<(), Error> {
    let gone = || Error::new(Code::LinkExpiredOrUsed);
    let Target::User(id) = one_time_tokens::consume(tx, Purpose::ResetPassword, token)? else {
        return Err(gone());
    };
    let user = users::lock(tx, id).map_err(|_| gone())?;
    if !users::set_password(tx, user.id, user.password_hash.as_deref(), new_hash)? {
        return Err(gone());
    }
    account::delete_registrations(tx, &user.email)?;
    sessions::end_all(tx, user.id, EndReason::PasswordChanged)?;
    throttle.forgive(tx, &ThrottleKey::of_user(secret, user.id))?;
    settle(tx, &user, PasswordChangeMethod::ResetLink)?;
    audit::record(tx, Entry::by_user(client, user.id, user.name(), Action::PasswordReset))
}

/// What is easily guessed of a person, for the policy.
pub fn personal_words(tx: &mut Tx<'_>, id: UserId) -> Result<Vec<String>, Error> {
    let user = users::find(tx, id)?;
    Ok(user.personal_words().into_iter().map(ToOwned::to_owned).collect())
}
