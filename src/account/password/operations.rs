//! What can be done with passwords.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::PgConnection;

use crate::account;
use crate::account::email;
use crate::audit::{self, Entry};
use crate::auth::{Caller, Session, Throttle, ThrottleKey};
use crate::error::{Code, Error, FieldCode, Invalid};
use crate::http::Client;
use crate::notifications::email::{Link, MailLimit, Message, outbox};
use crate::notifications::{self, Notice};
use crate::one_time_tokens::{self, Target};
use crate::secret::{Purpose, ServerSecret, Token};
use crate::sessions::{self, EndReason};
use crate::users::{self, User};
use crate::values::EmailAddress;
use crate::values::ids::{SessionId, UserId};

/// How long a link to set the password anew is good.
const RESET_LIFETIME: TimeDelta = Link::ResetPassword.lifetime();

/// Ends what is under way with an account whose password is another now, and tells its owner.
fn settle(connection: &mut PgConnection, now: DateTime<Utc>, user: &User, message: &Message) -> Result<(), Error> {
    one_time_tokens::void(connection, now, Purpose::ResetPassword, Target::User(user.id))?;
    email::cancel_pending(connection, now, user.id)?;
    let notice = Notice::PasswordChanged {};
    notifications::tell(connection, now, user.into(), (&notice, None), message)?;
    Ok(())
}

/// Changes the caller's password. `seen` is the hash that the present one was checked against.
///
/// # Errors
/// `validation_error` when the password was changed since.
pub fn change(
    connection: &mut PgConnection,
    caller: &Caller<Session>,
    session_id: SessionId,
    seen: &str,
    new_hash: &str,
) -> Result<(), Error> {
    let now = caller.now();
    let user = users::lock(connection, caller.user_id)?;
    if !users::set_password(connection, now, user.id, Some(seen), new_hash)? {
        let changed = Invalid::new(FieldCode::Incorrect, "This is not the present password.");
        return Err(Error::field("#/current_password", changed));
    }
    sessions::end_others(connection, caller, session_id, EndReason::PasswordChanged)?;
    settle(connection, now, &user, &Message::PasswordChanged { at: now })?;
    audit::record(connection, Entry::by(caller, "password.changed"))
}

/// Mails a link to set the password anew, if there is such an account; either way the request is on record.
pub fn forget(
    connection: &mut PgConnection,
    (secret, limit): (&ServerSecret, MailLimit),
    client: &Client,
    address: &EmailAddress,
) -> Result<(), Error> {
    let now = client.now;
    let user = users::find_by_login(connection, address.as_str())?;
    let user_id = user.as_ref().map(|user| user.id);
    if let Some(user) = user
        && limit.allows_reset(connection, now, &user.email)?
    {
        let target = Target::User(user.id);
        let token_id = one_time_tokens::issue(connection, secret, now, Purpose::ResetPassword, target, RESET_LIFETIME)?;
        outbox::enqueue(
            connection,
            now,
            &user.email,
            user.locale(),
            &Message::ResetPassword { token_id },
        )?;
    }
    let entry = Entry::by_anybody(client, "password.reset_requested").user(user_id);
    audit::record(connection, entry.object("email", None, address.to_string()))
}

/// Whose password a link sets anew, while it is good.
pub fn owner_of(connection: &mut PgConnection, now: DateTime<Utc>, token: &Token) -> Result<Option<User>, Error> {
    match one_time_tokens::peek(connection, now, Purpose::ResetPassword, token)? {
        Some(Target::User(id)) => users::find(connection, id).map(Some),
        _ => Ok(None),
    }
}

/// Sets a forgotten password anew. The mailbox has shown itself, so the address is proven by it, too.
///
/// # Errors
/// `link_expired_or_used`.
pub fn reset(
    connection: &mut PgConnection,
    (secret, throttle): (&ServerSecret, Throttle),
    client: &Client,
    token: &Token,
    new_hash: &str,
) -> Result<(), Error> {
    let now = client.now;
    let gone = || Error::new(Code::LinkExpiredOrUsed);
    let Target::User(id) = one_time_tokens::consume(connection, now, Purpose::ResetPassword, token)? else {
        return Err(gone());
    };
    let user = users::lock(connection, id).map_err(|_| gone())?;
    if !users::set_password(connection, now, user.id, user.password_hash.as_deref(), new_hash)? {
        return Err(gone());
    }
    account::delete_registrations(connection, &user.email)?;
    sessions::end_all(connection, now, user.id, EndReason::PasswordChanged)?;
    throttle.forgive(connection, &ThrottleKey::of_user(secret, user.id))?;
    settle(connection, now, &user, &Message::PasswordReset { at: now })?;
    audit::record(
        connection,
        Entry::by_user(client, user.id, user.name(), "password.reset"),
    )
}

/// What is easily guessed of a person, for the policy.
pub fn personal_words(connection: &mut PgConnection, id: UserId) -> Result<Vec<String>, Error> {
    let user = users::find(connection, id)?;
    Ok(user.personal_words().into_iter().map(ToOwned::to_owned).collect())
}
