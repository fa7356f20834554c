//! What an operator does to accounts on the command line: the last resort when nobody can log in.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;

use crate::audit::{self, Entry};
use crate::auth::PlatformRole;
use crate::error::{Code, Error};
use crate::notifications::email::{Message, outbox};
use crate::notifications::{self, Notice};
use crate::sessions::{self, EndReason};
use crate::users::{self, User};

fn entry(now: DateTime<Utc>, action: &'static str, user: &User) -> Entry {
    Entry::by_system(now, action)
        .object("user", user.id.uuid(), user.name().to_owned())
        .user(user.id)
}

/// The account of an address or username.
///
/// # Errors
/// `not_found`.
pub fn find(connection: &mut PgConnection, login: &str) -> Result<User, Error> {
    let found = users::find_by_login(connection, &login.to_lowercase())?;
    found.ok_or_else(|| Error::with_detail(Code::NotFound, format!("{login}: there is no such account")))
}

/// Every account, newest first.
///
/// # Errors
/// When the database fails.
pub fn list(connection: &mut PgConnection) -> Result<Vec<User>, Error> {
    users::list(connection)
}

/// Gives somebody a role on the platform.
///
/// # Errors
/// When the database fails.
pub fn set_role(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    user: User,
    role: PlatformRole,
) -> Result<(), Error> {
    users::set_role(connection, now, user.id, role)?;
    audit::record(
        connection,
        entry(now, "user.role_changed", &user).detail("role", role.as_str()),
    )
}

/// Disables somebody, or enables them again.
///
/// # Errors
/// When the database fails.
pub fn set_disabled(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    user: User,
    disabled: bool,
) -> Result<(), Error> {
    users::set_disabled(connection, now, user.id, disabled)?;
    if disabled {
        sessions::end_all(connection, now, user.id, EndReason::Disabled)?;
    }
    audit::record(
        connection,
        entry(now, if disabled { "user.disabled" } else { "user.enabled" }, &user),
    )
}

/// Gives somebody a password. Their sessions end, and they are told.
///
/// # Errors
/// When the database fails.
pub fn set_password(connection: &mut PgConnection, now: DateTime<Utc>, user: User, hash: &str) -> Result<(), Error> {
    let user = users::lock(connection, user.id)?;
    if !users::set_password(connection, now, user.id, user.password_hash.as_deref(), hash)? {
        return Err(Error::new(Code::InvalidState));
    }
    sessions::end_all(connection, now, user.id, EndReason::PasswordChanged)?;
    notifications::notify(connection, now, user.id, &Notice::PasswordChanged {}, None)?;
    outbox::enqueue(
        connection,
        now,
        &user.email,
        user.locale(),
        &Message::PasswordReset { at: now },
    )?;
    audit::record(connection, entry(now, "password.set_by_operator", &user))
}
