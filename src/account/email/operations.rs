//! Requesting, confirming, cancelling and reverting a change of e-mail address.

use super::model::{EmailChange, LIFETIME, REVERT_WINDOW};
use super::store;
use crate::account::registration;
use crate::api_keys;
use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, Session};
use crate::db::{Tx, violated_constraint};
use crate::error::{Code, Error, FieldCode, Invalid};
use crate::notifications::email::limit::{self, Requester};
use crate::notifications::email::outbox;
use crate::notifications::{self, Event, Recipient, Subject};
use crate::one_time_tokens::{self, Target};
use crate::secret::{Purpose, ServerSecret, Token};
use crate::sessions::{self, EndReason};
use crate::users::{self, User};
use crate::values::ids::UserId;
use crate::values::{Client, EmailAddress};

/// The address of an account and its pending change.
pub struct EmailStatus {
    pub user: User,
    pub pending: Option<EmailChange>,
}

pub fn status(tx: &mut Tx<'_>, user_id: UserId) -> Result<EmailStatus, Error> {
    let user = users::find(tx, user_id)?;
    let pending = store::find_open(tx, user_id)?.filter(|change| change.is_pending(tx.now));
    Ok(EmailStatus { user, pending })
}

/// # Errors
/// `validation_error` when a form repeats the address and the two differ.
pub fn check_confirmation(new_email: &EmailAddress, confirm_email: Option<&EmailAddress>) -> Result<(), Error> {
    match confirm_email {
        Some(repeated) if repeated != new_email => Err(Error::field(
            "#/confirm_email",
            Invalid::new(FieldCode::Mismatch, "The two e-mail addresses differ."),
        )),
        _ => Ok(()),
    }
}

/// Requests a change; a pending one is cancelled. If another account has the new address, its owner gets an e-mail
/// without a link.
///
/// # Errors
/// `validation_error` when it is the caller's present address; `rate_limited`.
pub fn request(
    tx: &mut Tx<'_>,
    secret: &ServerSecret,
    caller: &Caller<Session>,
    new_email: &EmailAddress,
) -> Result<EmailStatus, Error> {
    let user = users::find(tx, caller.user_id)?;
    if user.email == new_email.as_str() {
        let same = Invalid::new(FieldCode::SameAsCurrent, "This is your current e-mail address.");
        return Err(Error::field("#/new_email", same));
    }
    cancel_pending(tx, user.id)?;
    let change = store::insert(tx, user.id, &user.email, new_email.as_str())?;
    if may_mail_new_address(tx, &user, &change)? {
        mail_new_address(tx, secret, &user, &change)?;
    }
    let target = Target::EmailChange(change.id);
    // The change can be confirmed until the end of LIFETIME, and reverted for REVERT_WINDOW after that.
    let token_id = one_time_tokens::issue(tx, secret, Purpose::RevertEmail, target, LIFETIME + REVERT_WINDOW)?;
    let event = Event::EmailChangePending {
        new_email: new_email.to_string(),
        expires_at: change.expires_at,
        email_change_id: change.id,
        token_id,
    };
    notifications::notify(tx, (&user).into(), &event)?;
    let entry = Entry::by(caller, Action::EmailChangeRequested)
        .object("email_change", change.id.uuid(), None)
        .detail("old_email", user.email.as_str())
        .detail("new_email", new_email.as_str());
    audit::record(tx, entry)?;
    Ok(EmailStatus {
        user,
        pending: Some(change),
    })
}

/// Whether the new address, which may belong to a person who requested nothing, may get another e-mail.
///
/// # Errors
/// `rate_limited`.
fn may_mail_new_address(tx: &mut Tx<'_>, user: &User, change: &EmailChange) -> Result<bool, Error> {
    limit::admit(tx, Requester::User(user.id), &change.new_email)
}

/// Mails a new confirmation link to the new address; the previous link stops working. An address that another account has
/// gets an e-mail without a link.
fn mail_new_address(tx: &mut Tx<'_>, secret: &ServerSecret, user: &User, change: &EmailChange) -> Result<(), Error> {
    let target = Target::EmailChange(change.id);
    one_time_tokens::invalidate(tx, Purpose::ConfirmEmail, target)?;
    let token_id = one_time_tokens::issue(tx, secret, Purpose::ConfirmEmail, target, LIFETIME)?;
    let event = if users::is_email_taken(tx, &change.new_email, Some(user.id))? {
        Event::EmailTaken
    } else {
        Event::ConfirmEmail {
            token_id,
            new_email: change.new_email.clone(),
        }
    };
    outbox::enqueue(tx, &change.new_email, user.locale, &event)
}

/// Mails a new confirmation link and prolongs the change. If the new address has received too many e-mails, the previous link
/// keeps working instead.
///
/// # Errors
/// `invalid_state` when no change is pending; `rate_limited`.
pub fn resend(tx: &mut Tx<'_>, secret: &ServerSecret, caller: &Caller<Session>) -> Result<EmailStatus, Error> {
    let user = users::find(tx, caller.user_id)?;
    let mut change = store::find_open(tx, user.id)?
        .filter(|change| change.is_pending(tx.now))
        .ok_or_else(|| Error::with_detail(Code::InvalidState, "No change of e-mail address is pending."))?;
    if may_mail_new_address(tx, &user, &change)? {
        change = store::prolong(tx, change.id)?;
        mail_new_address(tx, secret, &user, &change)?;
    }
    let entry = Entry::by(caller, Action::EmailChangeResent);
    audit::record(tx, entry.object("email_change", change.id.uuid(), None))?;
    Ok(EmailStatus {
        user,
        pending: Some(change),
    })
}

/// Cancels the caller's pending change.
///
/// # Errors
/// `not_found` when none is pending.
pub fn cancel(tx: &mut Tx<'_>, caller: &Caller<Session>) -> Result<(), Error> {
    let change = cancel_pending(tx, caller.user_id)?
        .filter(|change| change.is_pending(tx.now))
        .ok_or_else(Error::not_found)?;
    let entry = Entry::by(caller, Action::EmailChangeCancelled);
    audit::record(tx, entry.object("email_change", change.id.uuid(), None))
}

/// Cancels the open change of a user, invalidates its links and resolves its notification. The audit record is left to the
/// caller. Returns the change as it was before; it may have expired.
pub fn cancel_pending(tx: &mut Tx<'_>, user_id: UserId) -> Result<Option<EmailChange>, Error> {
    let Some(change) = store::find_open(tx, user_id)? else {
        return Ok(None);
    };
    store::cancel(tx, change.id)?;
    for purpose in [Purpose::ConfirmEmail, Purpose::RevertEmail] {
        one_time_tokens::invalidate(tx, purpose, Target::EmailChange(change.id))?;
    }
    notifications::resolve(tx, Subject::EmailChange(change.id))?;
    Ok(Some(change))
}

fn invalid_link() -> Error {
    Error::new(Code::LinkExpiredOrUsed)
}

/// Uses the token of a link, and returns its change and the locked account. The link moves the account to the address that
/// `new_address` selects, so an unverified account with this address is locked as well: it will be deleted.
///
/// # Errors
/// `link_expired_or_used`.
fn consume_link(
    tx: &mut Tx<'_>,
    purpose: Purpose,
    token: &Token,
    new_address: impl FnOnce(&EmailChange) -> &str,
) -> Result<(EmailChange, User), Error> {
    let Some(Target::EmailChange(id)) = one_time_tokens::peek(tx, purpose, token)? else {
        return Err(invalid_link());
    };
    let change = store::find(tx, id)?.ok_or_else(invalid_link)?;
    let other = users::find_by_login(tx, new_address(&change))?;
    let ids: Vec<UserId> = [change.user_id].into_iter().chain(other.map(|user| user.id)).collect();
    let user = users::lock_all(tx, &ids)?
        .into_iter()
        .find(|user| user.id == change.user_id)
        .ok_or_else(invalid_link)?;
    // Only now, because an operation that invalidates the link locks the account first.
    one_time_tokens::consume(tx, purpose, token)?;
    let change = store::find(tx, id)?.ok_or_else(invalid_link)?;
    Ok((change, user))
}

/// Makes the new address the login, and returns it.
///
/// # Errors
/// `link_expired_or_used`, also when another account has verified the address in the meantime; `account_disabled`.
pub fn confirm(tx: &mut Tx<'_>, secret: &ServerSecret, client: &Client, token: &Token) -> Result<String, Error> {
    let (change, user) = consume_link(tx, Purpose::ConfirmEmail, token, |change| &change.new_email)?;
    if !change.is_pending(tx.now) || users::is_email_taken(tx, &change.new_email, Some(user.id))? {
        return Err(invalid_link());
    }
    // The refusal rolls back, so that the link works once the account is enabled again.
    if !user.can_act() {
        return Err(Error::new(Code::AccountDisabled));
    }
    take_address(tx, &user, &change.new_email)?;
    store::confirm(tx, change.id)?;
    // The links for a password reset were mailed to the old address.
    one_time_tokens::invalidate(tx, Purpose::ResetPassword, Target::User(user.id))?;
    notifications::resolve(tx, Subject::EmailChange(change.id))?;
    notify_changed(tx, secret, &user, &change)?;
    let entry = Entry::by_user(client, user.id, user.name(), Action::EmailChanged)
        .object("email_change", change.id.uuid(), None)
        .detail("old_email", change.old_email.as_str())
        .detail("new_email", change.new_email.as_str());
    audit::record(tx, entry)?;
    Ok(change.new_email)
}

/// Sets the address of an account, as verified. If two accounts verify one address at once, the unique constraint lets one
/// of them succeed.
fn take_address(tx: &mut Tx<'_>, user: &User, address: &str) -> Result<(), Error> {
    users::delete_unverified(tx, address)?;
    registration::delete_by_email(tx, address)?;
    users::set_email(tx, user.id, address).map_err(|error| match violated_constraint(&error) {
        Some("users_email_key") => invalid_link(),
        _ => error.into(),
    })
}

/// Notifies the user, and mails a link to revert the change to the old address.
fn notify_changed(tx: &mut Tx<'_>, secret: &ServerSecret, user: &User, change: &EmailChange) -> Result<(), Error> {
    let target = Target::EmailChange(change.id);
    let token_id = one_time_tokens::issue(tx, secret, Purpose::RevertEmail, target, REVERT_WINDOW)?;
    let event = Event::EmailChanged {
        old_email: change.old_email.clone(),
        new_email: change.new_email.clone(),
        token_id: Some(token_id),
    };
    let recipient = Recipient {
        user_id: user.id,
        email: &change.old_email,
        locale: user.locale,
    };
    notifications::notify(tx, recipient, &event)
}

/// Cancels a pending change, or undoes a confirmed one. Undoing treats the change as a takeover of the account: the
/// password is removed until a reset sets a new one, every session ends, and the API keys that were created, rotated, enabled
/// or widened since the request are disabled.
///
/// # Errors
/// `link_expired_or_used`.
pub fn revert(tx: &mut Tx<'_>, client: &Client, token: &Token) -> Result<(), Error> {
    let (change, user) = consume_link(tx, Purpose::RevertEmail, token, |change| &change.old_email)?;
    let entry =
        |action| Entry::by_user(client, user.id, user.name(), action).object("email_change", change.id.uuid(), None);
    if change.is_pending(tx.now) {
        cancel_pending(tx, user.id)?;
        return audit::record(tx, entry(Action::EmailChangeStopped));
    }
    if !change.can_be_reverted(tx.now) {
        return Err(invalid_link());
    }
    cancel_pending(tx, user.id)?;
    store::mark_reverted_from(tx, &change)?;
    take_address(tx, &user, &change.old_email)?;
    users::remove_password(tx, user.id)?;
    one_time_tokens::invalidate(tx, Purpose::ResetPassword, Target::User(user.id))?;
    limit::forget_resets(tx, &change.old_email)?;
    one_time_tokens::invalidate(tx, Purpose::RevertEmail, Target::EmailChange(change.id))?;
    sessions::end_all(tx, user.id, EndReason::EmailReverted)?;
    let event = Event::EmailChanged {
        old_email: user.email.clone(),
        new_email: change.old_email.clone(),
        token_id: None,
    };
    notifications::notify_in_app(tx, user.id, &event)?;
    let disabled_keys = api_keys::disable_granted_since(tx, user.id, change.requested_at)?;
    let entry = entry(Action::EmailChangeReverted);
    audit::record(tx, entry.detail("api_keys_disabled", disabled_keys))
}
