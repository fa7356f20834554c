//! What can be done with the address of an account.

use crate::db::Tx;

use super::model::{EmailChange, LIFETIME, REVERT_WINDOW};
use super::store;
use crate::account;
use crate::api_keys;
use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, Session};
use crate::error::{Code, Error, FieldCode, Invalid};
use crate::notifications::email::{MailLimit, outbox};
use crate::notifications::{self, Event, Recipient, Subject};
use crate::one_time_tokens::{self, Target};
use crate::secret::{Purpose, ServerSecret, Token};
use crate::sessions::{self, EndReason};
use crate::users::{self, User};
use crate::values::Client;
use crate::values::EmailAddress;
use crate::values::ids::UserId;

/// An account's address, and the change that waits.
pub struct Email {
    pub user: User,
    pub pending: Option<EmailChange>,
}

/// What `GET /email` shows.
pub fn status(tx: &mut Tx<'_>, user_id: UserId) -> Result<Email, Error> {
    let user = users::find(tx, user_id)?;
    let pending = store::find_open(tx, user_id)?.filter(|change| change.is_pending(tx.now));
    Ok(Email { user, pending })
}

/// Asks for a change. Whoever has the new address already is told, and nobody else.
///
/// # Errors
/// `validation_error` when it is the address already.
pub fn request(
    tx: &mut Tx<'_>,
    (secret, limit): (&ServerSecret, MailLimit),
    caller: &Caller<Session>,
    new_email: &EmailAddress,
) -> Result<Email, Error> {
    let user = users::lock(tx, caller.user_id)?;
    if user.email == new_email.as_str() {
        let same = Invalid::new(FieldCode::SameAsCurrent, "This is your address already.");
        return Err(Error::field("#/new_email", same));
    }
    cancel_pending(tx, user.id)?;
    let change = store::insert(tx, user.id, &user.email, new_email.as_str())?;
    mail_new_address(tx, (secret, limit), &user, &change)?;
    let target = Target::EmailChange(change.id);
    // Good until the change can take effect no more, and after that for as long as it can be undone.
    let token_id = one_time_tokens::issue(tx, secret, Purpose::RevertEmail, target, LIFETIME + REVERT_WINDOW)?;
    let event = Event::EmailChangePending {
        new_email: new_email.to_string(),
        expires_at: change.expires_at,
        email_change_id: change.id,
        token_id,
    };
    notifications::notify(tx, (&user).into(), &event)?;
    let entry = Entry::by(caller, Action::EmailChangeRequested).object("email_change", change.id.uuid(), None);
    audit::record(
        tx,
        entry
            .detail("old_email", user.email.as_str())
            .detail("new_email", new_email.as_str()),
    )?;
    Ok(Email {
        user,
        pending: Some(change),
    })
}

/// The link to the new address, or the notice to the account that has it.
fn mail_new_address(
    tx: &mut Tx<'_>,
    (secret, limit): (&ServerSecret, MailLimit),
    user: &User,
    change: &EmailChange,
) -> Result<(), Error> {
    let target = Target::EmailChange(change.id);
    one_time_tokens::invalidate(tx, Purpose::ConfirmEmail, target)?;
    let token_id = one_time_tokens::issue(tx, secret, Purpose::ConfirmEmail, target, LIFETIME)?;
    let taken = users::is_taken(tx, &change.new_email, Some(user.id))?;
    let event = if taken {
        Event::EmailTaken
    } else {
        Event::ConfirmEmail {
            token_id,
            new_email: change.new_email.clone(),
        }
    };
    // Nobody has shown yet that they want mail there.
    if limit.allows(tx, &change.new_email)? {
        outbox::enqueue(tx, &change.new_email, user.locale(), &event)?;
    }
    Ok(())
}

/// Mails a new link to the new address; the earlier one dies.
///
/// # Errors
/// `invalid_state` when no change is pending.
pub fn resend(
    tx: &mut Tx<'_>,
    (secret, limit): (&ServerSecret, MailLimit),
    caller: &Caller<Session>,
) -> Result<Email, Error> {
    let now = caller.now();
    let user = users::lock(tx, caller.user_id)?;
    let change = store::find_open(tx, user.id)?
        .filter(|change| change.is_pending(now))
        .ok_or_else(|| Error::with_detail(Code::InvalidState, "No change of address is pending."))?;
    let change = store::prolong(tx, change.id)?;
    mail_new_address(tx, (secret, limit), &user, &change)?;
    audit::record(
        tx,
        Entry::by(caller, Action::EmailChangeResent).object("email_change", change.id.uuid(), None),
    )?;
    Ok(Email {
        user,
        pending: Some(change),
    })
}

/// Takes a pending change back.
///
/// # Errors
/// `not_found` when none is pending.
pub fn cancel(tx: &mut Tx<'_>, caller: &Caller<Session>) -> Result<(), Error> {
    let now = caller.now();
    users::lock(tx, caller.user_id)?;
    let change = cancel_pending(tx, caller.user_id)?;
    let change = change
        .filter(|change| change.is_pending(now))
        .ok_or_else(Error::not_found)?;
    audit::record(
        tx,
        Entry::by(caller, Action::EmailChangeCancelled).object("email_change", change.id.uuid(), None),
    )
}

/// Ends the change of a person that waits, with its links and its notification; what led to it is for the caller to record.
/// Gives the change as it was.
///
/// # Errors
/// When the database fails.
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

fn gone() -> Error {
    Error::new(Code::LinkExpiredOrUsed)
}

/// Uses a link up, and finds its change and account, the account locked.
fn open(tx: &mut Tx<'_>, purpose: Purpose, token: &Token) -> Result<(EmailChange, User), Error> {
    let Target::EmailChange(id) = one_time_tokens::consume(tx, purpose, token)? else {
        return Err(gone());
    };
    let user_id = store::find(tx, id)?.ok_or_else(gone)?.user_id;
    let user = users::lock(tx, user_id).map_err(|_| gone())?;
    // Read again under the lock, under which alone changes change.
    let change = store::find(tx, id)?.ok_or_else(gone)?;
    Ok((change, user))
}

/// The new address has proven itself: from now on it is the login.
///
/// # Errors
/// `link_expired_or_used`, also when somebody else has the address by now.
pub fn confirm(tx: &mut Tx<'_>, secret: &ServerSecret, client: &Client, token: &Token) -> Result<String, Error> {
    let now = client.now;
    let (change, user) = open(tx, Purpose::ConfirmEmail, token)?;
    if !change.is_pending(now) || users::is_taken(tx, &change.new_email, Some(user.id))? {
        return Err(gone());
    }
    take_address(tx, &user, &change.new_email)?;
    store::confirm(tx, change.id)?;
    // Links to set the password anew went to the old mailbox.
    one_time_tokens::invalidate(tx, Purpose::ResetPassword, Target::User(user.id))?;
    notifications::resolve(tx, Subject::EmailChange(change.id))?;
    tell_changed(tx, secret, &user, &change)?;
    let entry = Entry::by_user(client, user.id, user.name(), Action::EmailChanged);
    let entry = entry
        .detail("old_email", change.old_email.as_str())
        .detail("new_email", change.new_email.as_str());
    audit::record(tx, entry.object("email_change", change.id.uuid(), None))?;
    Ok(change.new_email)
}

/// Gives an account a proven address. Of two who prove one address at once, the unique constraint lets one through.
fn take_address(tx: &mut Tx<'_>, user: &User, address: &str) -> Result<(), Error> {
    users::delete_unverified(tx, address)?;
    account::delete_registrations(tx, address)?;
    users::move_email(tx, user.id, address).map_err(|error| {
        if crate::db::violated_constraint(&error) == Some("users_email_key") {
            gone()
        } else {
            error.into()
        }
    })
}

fn tell_changed(tx: &mut Tx<'_>, secret: &ServerSecret, user: &User, change: &EmailChange) -> Result<(), Error> {
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
        locale: user.locale(),
    };
    notifications::notify(tx, recipient, &event)
}

/// The old address says no. A change that waits is cancelled; one that took effect is undone, and whoever made it is shut
/// out: the password is void until it is reset by mail, every session ends, the API keys made since are disabled.
///
/// # Errors
/// `link_expired_or_used`.
pub fn revert(tx: &mut Tx<'_>, client: &Client, token: &Token) -> Result<(), Error> {
    let now = client.now;
    let (change, user) = open(tx, Purpose::RevertEmail, token)?;
    let entry =
        |action| Entry::by_user(client, user.id, user.name(), action).object("email_change", change.id.uuid(), None);
    if change.is_pending(now) {
        cancel_pending(tx, user.id)?;
        return audit::record(tx, entry(Action::EmailChangeStopped));
    }
    if !change.can_be_reverted(now) {
        return Err(gone());
    }
    cancel_pending(tx, user.id)?;
    store::revert_from(tx, &change)?;
    take_address(tx, &user, &change.old_email)?;
    users::invalidate_password(tx, user.id)?;
    one_time_tokens::invalidate(tx, Purpose::ResetPassword, Target::User(user.id))?;
    one_time_tokens::invalidate(tx, Purpose::RevertEmail, Target::EmailChange(change.id))?;
    sessions::end_all(tx, user.id, EndReason::EmailReverted)?;
    let event = Event::EmailChanged {
        old_email: user.email.clone(),
        new_email: change.old_email.clone(),
        token_id: None,
    };
    notifications::notify_in_app(tx, user.id, &event)?;
    let disabled = api_keys::disable_created_since(tx, user.id, change.requested_at)?;
    audit::record(
        tx,
        entry(Action::EmailChangeReverted).detail("api_keys_disabled", disabled),
    )
}
