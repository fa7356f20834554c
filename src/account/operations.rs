//! What can be done with accounts.

use crate::db::Tx;
use chrono::TimeDelta;

use super::model::Profile;
use super::store::{self, NewRegistration};
use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, PlatformRole};
use crate::db::violated_constraint;
use crate::error::{Code, Error};
use crate::notifications::Event;
use crate::notifications::email::{Link, MailLimit, outbox};
use crate::one_time_tokens::{self, Target};
use crate::secret::{Purpose, ServerSecret, Token};
use crate::users::{self, Nickname, ProfileChange, TimeZone, Username, VerifiedRegistration};
use crate::values::EmailAddress;
use crate::values::Patch;
use crate::values::ids::{RegistrationId, UserId};
use crate::values::locale::Locale;
use crate::values::{Client, Precondition};

/// How long a registration and its link are good for.
const REGISTRATION_LIFETIME: TimeDelta = Link::VerifyEmail.lifetime();

/// Somebody who wants an account.
pub struct Registrant {
    pub email: EmailAddress,
    pub password_hash: String,
    pub nickname: Option<Nickname>,
    pub locale: Locale,
}

/// Keeps a registration and mails its link; to the owner of an address that has an account goes a notice instead. Both
/// roads do the same work.
pub fn register(
    tx: &mut Tx<'_>,
    (secret, limit): (&ServerSecret, MailLimit),
    client: &Client,
    registrant: &Registrant,
) -> Result<(), Error> {
    let email = &registrant.email;
    let taken = users::is_taken(tx, email.as_str(), None)?;
    if !taken {
        users::insert_unverified(tx, email, registrant.locale)?;
    }
    let registration_id = store::insert_registration(
        tx,
        &NewRegistration {
            email,
            password_hash: &registrant.password_hash,
            nickname: registrant.nickname.as_ref().map(Nickname::as_str),
            locale: registrant.locale,
            lifetime: REGISTRATION_LIFETIME,
        },
    )?;
    let link = verification(tx, secret, registration_id)?;
    let event = if taken { Event::AlreadyRegistered } else { link };
    if limit.allows(tx, email.as_str())? {
        outbox::enqueue(tx, email.as_str(), registrant.locale, &event)?;
    }
    audit::record(
        tx,
        Entry::by_anybody(client, Action::AccountRegistered).object("email", None, email.to_string()),
    )
}

/// The mail with the link that makes a registration an account.
fn verification(tx: &mut Tx<'_>, secret: &ServerSecret, id: RegistrationId) -> Result<Event, Error> {
    let (purpose, target) = (Purpose::VerifyEmail, Target::Registration(id));
    let token_id = one_time_tokens::issue(tx, secret, purpose, target, REGISTRATION_LIFETIME)?;
    Ok(Event::VerifyEmail { token_id })
}

/// Mails a new link for the newest registration of an address; the earlier one dies. That it was asked for is on record
/// either way.
pub fn resend(
    tx: &mut Tx<'_>,
    (secret, limit): (&ServerSecret, MailLimit),
    client: &Client,
    email: &EmailAddress,
) -> Result<(), Error> {
    let registration = store::newest_registration(tx, email.as_str())?;
    let taken = users::is_taken(tx, email.as_str(), None)?;
    let may_send = limit.allows(tx, email.as_str())?;
    if let Some(registration) = registration.filter(|_| !taken && may_send) {
        let target = Target::Registration(registration.id);
        one_time_tokens::invalidate(tx, Purpose::VerifyEmail, target)?;
        let link = verification(tx, secret, registration.id)?;
        let locale = Locale::stored(&registration.locale);
        outbox::enqueue(tx, email.as_str(), locale, &link)?;
    }
    let entry = Entry::by_anybody(client, Action::AccountVerificationResent).object("email", None, email.to_string());
    audit::record(tx, entry)
}

/// Makes a registration the account of its address. All other registrations of the address end.
pub fn verify_email(tx: &mut Tx<'_>, client: &Client, token: &Token) -> Result<(), Error> {
    let gone = || Error::new(Code::LinkExpiredOrUsed);
    let Target::Registration(id) = one_time_tokens::consume(tx, Purpose::VerifyEmail, token)? else {
        return Err(gone());
    };
    let registration = store::find_registration(tx, id)?.ok_or_else(gone)?;
    // The lock decides between two links of one address: the second finds the account proven.
    let user = users::find_by_email_for_update(tx, &registration.email)?
        .filter(|user| user.email_verified_at.is_none())
        .ok_or_else(gone)?;
    let credentials = VerifiedRegistration {
        password_hash: &registration.password_hash,
        nickname: registration.nickname.as_deref(),
        locale: &registration.locale,
    };
    users::verify(tx, user.id, &credentials)?;
    store::delete_registrations(tx, &registration.email)?;
    audit::record(
        tx,
        Entry::by_user(client, user.id, user.name(), Action::AccountVerified),
    )
}

/// Everything `GET /me` shows.
pub fn profile<P>(tx: &mut Tx<'_>, caller: &Caller<P>) -> Result<Profile, Error> {
    let org_id = caller.org.map(|acting| acting.org_id);
    store::find_profile(tx, caller.user_id, org_id)?.ok_or_else(Error::not_found)
}

/// What `PATCH /me` can change.
pub struct ProfileChanges {
    pub username: Patch<Username>,
    pub nickname: Patch<Option<Nickname>>,
    pub locale: Patch<Locale>,
    pub time_zone: Patch<TimeZone>,
}

/// Changes the caller's profile.
pub fn update_profile<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    precondition: &Precondition,
    changes: ProfileChanges,
) -> Result<Profile, Error> {
    let user = users::lock(tx, caller.user_id)?;
    precondition.check(user.version)?;
    let username = changes
        .username
        .set()
        .filter(|new| user.username.as_deref() != Some(new.as_str()));
    let nickname = changes
        .nickname
        .set()
        .map(|new| new.map(Nickname::into_string))
        .filter(|new| *new != user.nickname);
    let locale = changes.locale.set().filter(|new| *new != user.locale());
    let time_zone = changes
        .time_zone
        .set()
        .map(TimeZone::into_string)
        .filter(|new| *new != user.time_zone);
    let mut changed = Vec::new();
    for (name, is_new) in [
        ("username", username.is_some()),
        ("nickname", nickname.is_some()),
        ("locale", locale.is_some()),
        ("time_zone", time_zone.is_some()),
    ] {
        if is_new {
            changed.push(name);
        }
    }
    if changed.is_empty() {
        return profile(tx, caller);
    }
    if let Some(new) = &username {
        if users::is_resting(tx, new, user.id)? {
            return Err(Error::new(Code::UsernameTaken));
        }
        if let Some(old) = &user.username {
            users::release_username(tx, old, user.id)?;
        }
    }
    let username = username.map(Username::into_string);
    let change = ProfileChange {
        username,
        nickname,
        locale: locale.map(Locale::as_str),
        time_zone,
    };
    users::update_profile(tx, user.id, change).map_err(taken)?;
    audit::record(
        tx,
        Entry::by(caller, Action::AccountProfileChanged).detail("changed", changed),
    )?;
    profile(tx, caller)
}

/// Which unique constraint decided against somebody.
fn taken(error: diesel::result::Error) -> Error {
    if violated_constraint(&error) == Some("users_username_key") {
        Error::new(Code::UsernameTaken)
    } else {
        error.into()
    }
}

/// Whether the caller could have this name.
pub fn is_username_available(tx: &mut Tx<'_>, user_id: UserId, username: &Username) -> Result<bool, Error> {
    let taken = users::has_username(tx, username, user_id)?;
    Ok(!taken && !users::is_resting(tx, username, user_id)?)
}

/// An account that an operator makes.
pub struct NewUser {
    /// Their address.
    pub email: EmailAddress,
    /// Their unique name.
    pub username: Username,
    /// Their role on the platform.
    pub role: PlatformRole,
    /// Whether the address is known to be theirs; if not, they are mailed a link.
    pub verified: bool,
    /// Their password, hashed.
    pub password_hash: String,
}

/// Makes an account on the operator's word.
///
/// # Errors
/// `username_taken`; `invalid_state` when the address has an account.
pub fn create_user(tx: &mut Tx<'_>, secret: &ServerSecret, new: &NewUser) -> Result<UserId, Error> {
    let password = new.verified.then_some(new.password_hash.as_str());
    let id = users::insert(tx, &new.email, &new.username, new.role, password).map_err(|error| {
        if violated_constraint(&error) == Some("users_email_key") {
            return Error::with_detail(Code::InvalidState, "This address has an account already.");
        }
        taken(error)
    })?;
    if !new.verified {
        let registration = NewRegistration {
            email: &new.email,
            password_hash: &new.password_hash,
            nickname: None,
            locale: Locale::default(),
            lifetime: REGISTRATION_LIFETIME,
        };
        let registration_id = store::insert_registration(tx, &registration)?;
        let link = verification(tx, secret, registration_id)?;
        outbox::enqueue(tx, new.email.as_str(), Locale::default(), &link)?;
    }
    let entry = Entry::by_system(tx.now, Action::AccountCreated)
        .object("user", id.uuid(), new.username.to_string())
        .user(id);
    audit::record(tx, entry.detail("role", new.role.as_str()))?;
    Ok(id)
}
