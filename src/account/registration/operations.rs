//! Registering, verifying, and the accounts that operators create.

use super::model::LIFETIME;
use super::store::{self, RegistrationInsert};
use crate::audit::{self, Action, Entry};
use crate::auth::{Password, PlatformRole};
use crate::db::{Tx, violated_constraint};
use crate::error::{Code, Error};
use crate::notifications::Event;
use crate::notifications::email::{MailLimit, outbox};
use crate::one_time_tokens::{self, Target};
use crate::secret::{Purpose, ServerSecret, Token};
use crate::state::State;
use crate::users::{self, Nickname, Username, VerifiedRegistration};
use crate::values::ids::{RegistrationId, UserId};
use crate::values::locale::Locale;
use crate::values::{Client, EmailAddress};

pub struct NewRegistration {
    pub email: EmailAddress,
    pub password: Password,
    pub nickname: Option<Nickname>,
    pub locale: Locale,
}

/// Stores a registration and mails its link. If the address has an account already, its owner gets an e-mail without a link
/// instead; both cases do the same work.
///
/// # Errors
/// `validation_error` when the password violates the policy.
pub async fn register(state: &State, client: Client, new: NewRegistration) -> Result<(), Error> {
    let NewRegistration {
        email,
        password,
        nickname,
        locale,
    } = new;
    let personal_words = [Some(email.as_str()), nickname.as_ref().map(Nickname::as_str)];
    let personal_words: Vec<&str> = personal_words.into_iter().flatten().collect();
    state.policy.require(&password, &personal_words, "#/password")?;
    let password_hash = state.hasher.hash(password).await?;
    let (secret, limit) = (state.secret.clone(), state.mail_limit);
    state
        .db
        .transaction(client.now, move |tx| {
            let insert = RegistrationInsert {
                email: &email,
                password_hash: &password_hash,
                nickname: nickname.as_ref().map(Nickname::as_str),
                locale,
            };
            insert_and_mail(tx, &secret, limit, &client, &insert)
        })
        .await
}

fn insert_and_mail(
    tx: &mut Tx<'_>,
    secret: &ServerSecret,
    limit: MailLimit,
    client: &Client,
    new: &RegistrationInsert<'_>,
) -> Result<(), Error> {
    let is_taken = users::is_email_taken(tx, new.email.as_str(), None)?;
    if !is_taken {
        users::insert_unverified(tx, new.email, new.locale)?;
    }
    let registration_id = store::insert(tx, new)?;
    let verification = issue_link(tx, secret, registration_id)?;
    let event = if is_taken {
        Event::AlreadyRegistered
    } else {
        verification
    };
    if limit.allows(tx, new.email.as_str())? {
        outbox::enqueue(tx, new.email.as_str(), new.locale, &event)?;
    }
    let entry = Entry::by_anonymous(client, Action::AccountRegistered);
    audit::record(tx, entry.object("email", None, new.email.to_string()))
}

/// Issues the token that verifies a registration, and returns the event that mails its link.
fn issue_link(tx: &mut Tx<'_>, secret: &ServerSecret, id: RegistrationId) -> Result<Event, Error> {
    let (purpose, target) = (Purpose::VerifyEmail, Target::Registration(id));
    let token_id = one_time_tokens::issue(tx, secret, purpose, target, LIFETIME)?;
    Ok(Event::VerifyEmail { token_id })
}

/// Mails a new link for the newest registration of an address; the previous link stops working. Without such a registration
/// only the audit log shows the request.
pub fn resend(
    tx: &mut Tx<'_>,
    secret: &ServerSecret,
    limit: MailLimit,
    client: &Client,
    email: &EmailAddress,
) -> Result<(), Error> {
    let registration = store::find_newest(tx, email.as_str())?;
    let is_taken = users::is_email_taken(tx, email.as_str(), None)?;
    let may_mail = limit.allows(tx, email.as_str())?;
    if let Some(registration) = registration.filter(|_| !is_taken && may_mail) {
        one_time_tokens::invalidate(tx, Purpose::VerifyEmail, Target::Registration(registration.id))?;
        let event = issue_link(tx, secret, registration.id)?;
        outbox::enqueue(tx, email.as_str(), registration.locale, &event)?;
    }
    let entry = Entry::by_anonymous(client, Action::AccountVerificationResent);
    audit::record(tx, entry.object("email", None, email.to_string()))
}

/// Turns a registration into the account of its address, and deletes all registrations of the address.
///
/// # Errors
/// `link_expired_or_used`.
pub fn verify_email(tx: &mut Tx<'_>, client: &Client, token: &Token) -> Result<(), Error> {
    let invalid_link = || Error::new(Code::LinkExpiredOrUsed);
    let Target::Registration(id) = one_time_tokens::consume(tx, Purpose::VerifyEmail, token)? else {
        return Err(invalid_link());
    };
    let registration = store::find(tx, id)?.ok_or_else(invalid_link)?;
    // Of two links for one address used at once, the second waits for this lock and then finds the address verified.
    let user = users::lock_by_email(tx, &registration.email)?
        .filter(|user| user.email_verified_at.is_none())
        .ok_or_else(invalid_link)?;
    let verified = VerifiedRegistration {
        password_hash: &registration.password_hash,
        nickname: registration.nickname.as_deref(),
        locale: registration.locale,
    };
    users::verify(tx, user.id, &verified)?;
    store::delete_by_email(tx, &registration.email)?;
    audit::record(
        tx,
        Entry::by_user(client, user.id, user.name(), Action::AccountVerified),
    )
}

/// An account to create for an operator.
pub struct NewUser {
    pub email: EmailAddress,
    pub username: Username,
    pub role: PlatformRole,
    /// Whether the operator vouches for the address. Otherwise a link to verify it is mailed.
    pub verified: bool,
    pub password_hash: String,
}

/// Creates an account on the command line.
///
/// # Errors
/// `username_taken`; `invalid_state` when the address has an account.
pub fn create_user(tx: &mut Tx<'_>, secret: &ServerSecret, new: &NewUser) -> Result<UserId, Error> {
    let verified_password_hash = new.verified.then_some(new.password_hash.as_str());
    let id = users::insert(tx, &new.email, &new.username, new.role, verified_password_hash).map_err(|error| {
        match violated_constraint(&error) {
            Some("users_email_key") => {
                Error::with_detail(Code::InvalidState, "This e-mail address already has an account.")
            }
            Some("users_username_key") => Error::new(Code::UsernameTaken),
            _ => error.into(),
        }
    })?;
    if !new.verified {
        let registration = RegistrationInsert {
            email: &new.email,
            password_hash: &new.password_hash,
            nickname: None,
            locale: Locale::default(),
        };
        let registration_id = store::insert(tx, &registration)?;
        let event = issue_link(tx, secret, registration_id)?;
        outbox::enqueue(tx, new.email.as_str(), Locale::default(), &event)?;
    }
    let entry = Entry::by_system(tx.now, Action::AccountCreated)
        .object("user", id.uuid(), new.username.to_string())
        .user(id);
    audit::record(tx, entry.detail("role", new.role.as_str()))?;
    Ok(id)
}
