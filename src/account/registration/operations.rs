//! Registering, verifying, and the accounts that operators create.

use chrono::{DateTime, Utc};

use super::model::{LIFETIME, Registration};
use super::store::{self, RegistrationInsert};
use crate::audit::{self, Action, Entry};
use crate::auth::{Password, PlatformRole, SALT_BYTES, ThrottleKey};
use crate::db::{Tx, violated_constraint};
use crate::error::{Code, Error, FieldCode, FieldError, Invalid};
use crate::notifications::Event;
use crate::notifications::email::limit::{self, Requester};
use crate::notifications::email::outbox;
use crate::one_time_tokens::{self, Target};
use crate::secret::{Purpose, ServerSecret, Token};
use crate::state::State;
use crate::users::{self, Nickname, User, Username, VerifiedRegistration};
use crate::values::ids::{RegistrationId, UserId};
use crate::values::locale::Locale;
use crate::values::{Client, EmailAddress, Fields};

pub struct NewRegistration {
    pub email: EmailAddress,
    pub password: Password,
    pub nickname: Option<Nickname>,
    pub locale: Locale,
}

/// Hashes the password of a registration. All registrations of an address share a salt, which is unpredictable without the
/// server secret, so that [`is_password_pending`] needs one hash for any number of them.
///
/// # Errors
/// `unavailable` when no thread is free in time.
pub async fn hash_password(state: &State, email: &str, password: Password) -> Result<String, Error> {
    let mac = state.secret.mac(Purpose::RegistrationSalt, &[email.as_bytes()]);
    let mut salt = [0; SALT_BYTES];
    for (byte, of_mac) in salt.iter_mut().zip(mac) {
        *byte = of_mac;
    }
    state.hasher.hash_with_salt(password, salt).await
}

/// Whether `login` is an e-mail address with a registration that has this password. It takes one hash in any case; a
/// username has no registrations. Registrations from before a change of the hash parameters aren't found.
///
/// # Errors
/// `unavailable` when no thread is free in time.
pub async fn is_password_pending(
    state: &State,
    now: DateTime<Utc>,
    login: String,
    password: Password,
) -> Result<bool, Error> {
    let hash = hash_password(state, &login, password).await?;
    state
        .db
        .read(now, move |tx| store::has_password(tx, &login, &hash))
        .await
}

/// Everything in the password of a request to register that violates the policy. The fields stay in place, so that the errors
/// of the password and of all other fields go into one response.
///
/// # Errors
/// `unavailable` while too many passwords are judged.
pub async fn password_errors(state: &State, fields: &Fields) -> Result<Vec<FieldError>, Error> {
    let Some(password) = fields.peek::<Password>("password") else {
        return Ok(Vec::new());
    };
    let email = fields.peek::<EmailAddress>("email");
    let nickname = fields.peek::<Option<Nickname>>("nickname").flatten();
    let personal_words = [
        email.as_ref().map(EmailAddress::as_str),
        nickname.as_ref().map(Nickname::as_str),
    ];
    let personal_words: Vec<&str> = personal_words.into_iter().flatten().collect();
    state.policy.errors(&password, &personal_words, "#/password").await
}

/// Stores a registration, whose password has none of the [`password_errors`], and mails its link. If the address has an
/// account already, its owner gets an e-mail without a link instead; both cases do the same work.
pub async fn register(state: &State, client: Client, new: NewRegistration) -> Result<(), Error> {
    let NewRegistration {
        email,
        password,
        nickname,
        locale,
    } = new;
    let _place = state.hasher.reserve(client.ip)?;
    let password_hash = hash_password(state, email.as_str(), password).await?;
    let secret = state.secret.clone();
    state
        .db
        .transaction(client.now, move |tx| {
            let insert = RegistrationInsert {
                email: &email,
                password_hash: &password_hash,
                nickname: nickname.as_ref().map(Nickname::as_str),
                locale,
                user_id: None,
            };
            insert_and_mail(tx, &secret, &client, &insert)
        })
        .await
}

fn insert_and_mail(
    tx: &mut Tx<'_>,
    secret: &ServerSecret,
    client: &Client,
    new: &RegistrationInsert<'_>,
) -> Result<(), Error> {
    let is_taken = users::is_email_taken(tx, new.email.as_str(), None)?;
    if !is_taken {
        users::insert_unverified(tx, new.email, new.locale)?;
    }
    // Requests for one address wait here for each other, so that each counts the mails of those before it.
    let user = users::lock_by_email(tx, new.email.as_str())?;
    let may_verify = limit::allows_verification(tx, new.email.as_str())?;
    let may_notify = limit::admit(tx, Requester::Client(client.ip), new.email.as_str())?;
    let registration_id = store::insert(tx, new)?;
    let verification = issue_link(tx, secret, registration_id)?;
    let (event, may_mail) = if is_taken {
        (Event::AlreadyRegistered, may_notify)
    } else {
        (verification, may_verify)
    };
    if may_mail {
        outbox::enqueue(tx, new.email.as_str(), new.locale, &event)?;
    }
    audit::count(tx, audit_entry(client, Action::AccountRegistered, user.as_ref()))
}

/// Issues the token that verifies a registration, and returns the event that mails its link.
fn issue_link(tx: &mut Tx<'_>, secret: &ServerSecret, id: RegistrationId) -> Result<Event, Error> {
    let (purpose, target) = (Purpose::VerifyEmail, Target::Registration(id));
    let token_id = one_time_tokens::issue(tx, secret, purpose, target, LIFETIME)?;
    Ok(Event::VerifyEmail { token_id })
}

/// Mails a new link for a registration of an address; the previous link of this registration stops working. Without a
/// registration only the limits and the audit log count the request.
///
/// # Errors
/// `rate_limited`.
pub fn resend(tx: &mut Tx<'_>, secret: &ServerSecret, client: &Client, email: &EmailAddress) -> Result<(), Error> {
    let user = users::lock_by_email(tx, email.as_str())?;
    let registration = store::find_to_resend(tx, email.as_str())?;
    let is_taken = users::is_email_taken(tx, email.as_str(), None)?;
    let may_mail = limit::allows_verification(tx, email.as_str())?;
    if let Some(registration) = registration.filter(|_| !is_taken && may_mail) {
        // The account of the address may have been deleted after this registration.
        users::insert_unverified(tx, email, registration.locale)?;
        one_time_tokens::invalidate(tx, Purpose::VerifyEmail, Target::Registration(registration.id))?;
        let event = issue_link(tx, secret, registration.id)?;
        store::extend(tx, registration.id)?;
        outbox::enqueue(tx, email.as_str(), registration.locale, &event)?;
    }
    // Last, because a registration waits for the lock of the network while it holds the row of the account.
    limit::count_verification(tx, client.ip, email.as_str())?;
    audit::count(
        tx,
        audit_entry(client, Action::AccountVerificationResent, user.as_ref()),
    )
}

/// A request of a stranger. It names the account of the address only if that is verified: registrations make an unverified one
/// for each address, of which there may be any number.
fn audit_entry(client: &Client, action: Action, user: Option<&User>) -> Entry {
    let verified = user.filter(|user| user.email_verified_at.is_some());
    Entry::by_anonymous(client, action).user(verified.map(|user| user.id))
}

/// The password that an account gets through the link of a registration.
pub enum PasswordChoice {
    /// That of the registration, repeated by the reader of the mail.
    Registered(Password),
    /// Another one, because the reader of the mail didn't choose that of the registration.
    New(Password),
}

/// As [`password_errors`], for the new password of a request to verify an address. It is not judged if the link doesn't work.
///
/// # Errors
/// `unavailable` while too many passwords are judged.
pub async fn new_password_errors(state: &State, client: &Client, fields: &Fields) -> Result<Vec<FieldError>, Error> {
    let password = fields.peek::<Option<Password>>("new_password").flatten();
    let (Some(token), Some(password)) = (fields.peek::<String>("token"), password) else {
        return Ok(Vec::new());
    };
    let token = Token::new(token);
    let pending = match state.db.read(client.now, move |tx| find_pending(tx, &token)).await {
        Ok(pending) => pending,
        Err(error) if error.code() == Code::LinkExpiredOrUsed => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut personal_words = pending.user.personal_words();
    personal_words.extend(pending.registration.nickname.as_deref());
    state.policy.errors(&password, &personal_words, "#/new_password").await
}

/// Turns a registration into the account of its address, and deletes all registrations of the address. A new password has none
/// of the [`new_password_errors`].
///
/// Passwords are hashed before the transaction, which locks the account and only then looks at the link and counts the
/// attempt. So of parallel uses of a link one succeeds and the others find it used; and parallel guesses count like
/// sequential ones, because a guess that reaches the limit rolls back and its result is not sent.
///
/// # Errors
/// `link_expired_or_used`; `validation_error` when the password is not that of the registration; `rate_limited`.
pub async fn verify_email(state: &State, client: Client, token: Token, choice: PasswordChoice) -> Result<(), Error> {
    let (now, ip, token_to_find) = (client.now, client.ip, token.clone());
    let pending = state.db.read(now, move |tx| find_pending(tx, &token_to_find)).await?;
    let email = pending.registration.email.clone();
    let guess = match choice {
        PasswordChoice::Registered(_) => Some(ThrottleKey::of_unknown_login(&state.secret, &email)),
        PasswordChoice::New(_) => None,
    };
    let throttle = state.throttle;
    if let Some(key) = guess {
        state.db.read(now, move |tx| throttle.check(tx, &key, ip)).await?;
    }
    let _place = state.hasher.reserve(ip)?;
    let password_hash = check_choice(state, pending.registration, choice).await?;
    let is_correct = state
        .db
        .transaction(now, move |tx| {
            users::lock_by_email(tx, &email)?;
            let pending = find_pending(tx, &token)?;
            if let Some(password_hash) = &password_hash {
                one_time_tokens::consume(tx, Purpose::VerifyEmail, &token)?;
                store_verification(tx, &client, &pending, password_hash)?;
            } else {
                let entry = Entry::by_anonymous(&client, Action::PasswordCheckFailed).failed();
                audit::record(tx, entry.user(pending.user.id))?;
            }
            // Last, because all attempts from the network wait for the commit.
            if let Some(key) = guess {
                throttle.record_attempt(tx, &key, ip)?;
                if password_hash.is_some() {
                    throttle.delete_attempts_from(tx, &key, ip)?;
                }
            }
            // A wrong password is no error here, because the attempt has to be committed.
            Ok(password_hash.is_some())
        })
        .await?;
    if is_correct {
        return Ok(());
    }
    let detail = "This is not the password of the sign-up. Choose a new one if you do not know it.";
    Err(Error::field("#/password", Invalid::new(FieldCode::Incorrect, detail)))
}

/// A registration whose link works, and the unverified account of its address.
struct Pending {
    registration: Registration,
    user: User,
}

/// # Errors
/// `link_expired_or_used`.
fn find_pending(tx: &mut Tx<'_>, token: &Token) -> Result<Pending, Error> {
    let invalid_link = || Error::new(Code::LinkExpiredOrUsed);
    let Some(Target::Registration(id)) = one_time_tokens::peek(tx, Purpose::VerifyEmail, token)? else {
        return Err(invalid_link());
    };
    let registration = store::find(tx, id)?.ok_or_else(invalid_link)?;
    let user = users::find_by_login(tx, &registration.email)?
        .filter(|user| user.email_verified_at.is_none())
        .ok_or_else(invalid_link)?;
    Ok(Pending { registration, user })
}

/// Returns the hash for the account, or `None` if the password is not that of the registration. The hash has a salt of its
/// own, unlike that of the registration.
///
/// # Errors
/// `unavailable` when no thread is free in time.
async fn check_choice(
    state: &State,
    registration: Registration,
    choice: PasswordChoice,
) -> Result<Option<String>, Error> {
    let password = match choice {
        PasswordChoice::Registered(password) => {
            let hash = Some(registration.password_hash);
            if !state.hasher.verify(password.clone(), hash).await? {
                return Ok(None);
            }
            password
        }
        PasswordChoice::New(password) => password,
    };
    state.hasher.hash(password).await.map(Some)
}

fn store_verification(tx: &mut Tx<'_>, client: &Client, pending: &Pending, password_hash: &str) -> Result<(), Error> {
    let Pending { registration, user } = pending;
    let verified = VerifiedRegistration {
        password_hash,
        nickname: registration.nickname.as_deref(),
        locale: registration.locale,
    };
    users::verify(tx, user.id, &verified)?;
    if registration.user_id != Some(user.id) {
        reset_role(tx, client, user)?;
    }
    store::delete_by_email(tx, &registration.email)?;
    audit::record(
        tx,
        Entry::by_user(client, user.id, user.name(), Action::AccountVerified),
    )
}

/// Makes an account a plain user when its address is verified in another way than by the link of the operator who gave it
/// the role: anyone can cause such a mail, and its reader may not be whom the operator meant.
pub fn reset_role(tx: &mut Tx<'_>, client: &Client, user: &User) -> Result<(), Error> {
    if user.role == PlatformRole::User {
        return Ok(());
    }
    users::set_access(tx, user.id, PlatformRole::User, user.disabled_at)?;
    let entry = Entry::by_user(client, user.id, user.name(), Action::UserRoleChanged);
    let entry = entry.object("user", user.id.uuid(), user.name().map(ToOwned::to_owned));
    audit::record(tx, entry.detail("role", PlatformRole::User.as_str()))
}

/// An account to create for an operator.
pub struct NewUser {
    pub email: EmailAddress,
    pub username: Username,
    pub role: PlatformRole,
    /// Whether the operator vouches for the address. Otherwise a link to verify it is mailed.
    pub verified: bool,
    /// If the address is not verified, from [`hash_password`].
    pub password_hash: String,
}

/// Creates an account on the command line. Registrations of the address by others remain: they don't keep an operator from
/// creating it, and their links don't get its role.
///
/// # Errors
/// `username_taken`; `invalid_state` when the address has an account.
pub fn create_user(tx: &mut Tx<'_>, secret: &ServerSecret, new: &NewUser) -> Result<UserId, Error> {
    users::delete_unclaimed(tx, new.email.as_str())?;
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
            user_id: Some(id),
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
