//! Changes of accounts by an operator. They need no login, so they also work when no administrator can log in.

use crate::audit::{self, Action, Entry};
use crate::auth::PlatformRole;
use crate::db::Tx;
use crate::error::{Code, Error};
use crate::notifications::{self, Event, PasswordChangeMethod};
use crate::orgs::invitations;
use crate::sessions::{self, EndReason};
use crate::users::{self, User};

fn entry(tx: &Tx<'_>, action: Action, user: &User) -> Entry {
    Entry::by_system(tx.now, action)
        .object("user", user.id.uuid(), user.name().map(ToOwned::to_owned))
        .user(user.id)
}

/// The account with this e-mail address or username.
///
/// # Errors
/// `not_found`.
pub fn find(tx: &mut Tx<'_>, login: &str) -> Result<User, Error> {
    let found = users::find_by_login(tx, &login.to_lowercase())?;
    found.ok_or_else(|| Error::with_detail(Code::NotFound, format!("{login}: no account has this login")))
}

/// The same account, locked until the end of the transaction.
///
/// # Errors
/// `not_found`.
pub fn lock(tx: &mut Tx<'_>, login: &str) -> Result<User, Error> {
    let user = find(tx, login)?;
    users::lock(tx, user.id)
}

pub fn set_role(tx: &mut Tx<'_>, user: User, role: PlatformRole) -> Result<(), Error> {
    users::set_access(tx, user.id, role, user.disabled_at)?;
    let entry = entry(tx, Action::UserRoleChanged, &user);
    audit::record(tx, entry.detail("role", role.as_str()))
}

/// Disables an account, ends its sessions and revokes its invitations.
pub fn disable(tx: &mut Tx<'_>, user: User) -> Result<(), Error> {
    users::set_access(tx, user.id, user.role, Some(tx.now))?;
    sessions::end_all(tx, user.id, EndReason::Disabled)?;
    invitations::revoke_all_by(tx, user.id)?;
    let entry = entry(tx, Action::UserDisabled, &user);
    audit::record(tx, entry)
}

pub fn enable(tx: &mut Tx<'_>, user: User) -> Result<(), Error> {
    users::set_access(tx, user.id, user.role, None)?;
    let entry = entry(tx, Action::UserEnabled, &user);
    audit::record(tx, entry)
}

/// Sets a password, ends all sessions of the user and notifies them.
pub fn set_password(tx: &mut Tx<'_>, user: User, hash: &str) -> Result<(), Error> {
    users::set_password(tx, user.id, hash)?;
    sessions::end_all(tx, user.id, EndReason::PasswordChanged)?;
    let method = PasswordChangeMethod::Operator;
    notifications::notify(tx, (&user).into(), &Event::PasswordChanged { method })?;
    let entry = entry(tx, Action::PasswordSetByOperator, &user);
    audit::record(tx, entry)
}
