//! What an operator does to accounts on the command line: the last resort when nobody can log in.

use crate::db::Tx;
use chrono::{DateTime, Utc};

use crate::audit::{self, Action, Entry};
use crate::auth::PlatformRole;
use crate::error::{Code, Error};
use crate::notifications::{self, Event, PasswordChangeMethod};
use crate::sessions::{self, EndReason};
use crate::users::{self, User};

fn entry(now: DateTime<Utc>, action: Action, user: &User) -> Entry {
    Entry::by_system(now, action)
        .object("user", user.id.uuid(), user.name().to_owned())
        .user(user.id)
}

/// The account of an address or username.
///
/// # Errors
/// `not_found`.
pub fn find(tx: &mut Tx<'_>, login: &str) -> Result<User, Error> {
    let found = users::find_by_login(tx, &login.to_lowercase())?;
    found.ok_or_else(|| Error::with_detail(Code::NotFound, format!("{login}: there is no such account")))
}

/// Every account, newest first.
///
/// # Errors
/// When the database fails.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<User>, Error> {
    users::list(tx)
}

/// Gives somebody a role on the platform.
///
/// # Errors
/// When the database fails.
pub fn set_role(tx: &mut Tx<'_>, user: User, role: PlatformRole) -> Result<(), Error> {
    users::set_role(tx, user.id, role)?;
    audit::record(
        tx,
        entry(tx.now, Action::UserRoleChanged, &user).detail("role", role.as_str()),
    )
}

/// Disables somebody, or enables them again.
///
/// # Errors
/// When the database fails.
pub fn set_disabled(tx: &mut Tx<'_>, user: User, disabled: bool) -> Result<(), Error> {
    users::set_disabled(tx, user.id, disabled)?;
    if disabled {
        sessions::end_all(tx, user.id, EndReason::Disabled)?;
    }
    audit::record(
        tx,
        entry(
            tx.now,
            if disabled {
                Action::UserDisabled
            } else {
                Action::UserEnabled
            },
            &user,
        ),
    )
}

/// Gives somebody a password. Their sessions end, and they are told.
///
/// # Errors
/// When the database fails.
pub fn set_password(tx: &mut Tx<'_>, user: User, hash: &str) -> Result<(), Error> {
    let user = users::lock(tx, user.id)?;
    if !users::set_password(tx, user.id, user.password_hash.as_deref(), hash)? {
        return Err(Error::new(Code::InvalidState));
    }
    sessions::end_all(tx, user.id, EndReason::PasswordChanged)?;
    let method = PasswordChangeMethod::Operator;
    notifications::notify(tx, (&user).into(), &Event::PasswordChanged { method })?;
    audit::record(tx, entry(tx.now, Action::PasswordSetByOperator, &user))
}
