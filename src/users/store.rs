//! Every query on users, registrations and released usernames.

use crate::db::Tx;
use chrono::TimeDelta;
use diesel::dsl::exists;
use diesel::prelude::*;

use super::model::{User, Username};
use crate::auth::PlatformRole;
use crate::db::schema::{email_changes, released_usernames, users};
use crate::error::Error;
use crate::values::EmailAddress;
use crate::values::ids::{ImageId, OrgId, UserId};
use crate::values::locale::Locale;

/// For how long a name somebody gave up is kept from others.
const USERNAME_REST: TimeDelta = TimeDelta::days(30);

/// The user.
///
/// # Errors
/// `not_found` when the account is gone.
pub fn find(tx: &mut Tx<'_>, id: UserId) -> Result<User, Error> {
    let found = users::table
        .find(id)
        .select(User::as_select())
        .first(tx.conn)
        .optional()?;
    found.ok_or_else(Error::not_found)
}

/// The user, locked until the end of the transaction.
///
/// # Errors
/// `not_found` when the account is gone.
pub fn lock(tx: &mut Tx<'_>, id: UserId) -> Result<User, Error> {
    let found = users::table
        .find(id)
        .select(User::as_select())
        .for_update()
        .first(tx.conn)
        .optional()?;
    found.ok_or_else(Error::not_found)
}

pub fn find_by_email_for_update(tx: &mut Tx<'_>, email: &str) -> Result<Option<User>, Error> {
    Ok(users::table
        .filter(users::email.eq(email))
        .select(User::as_select())
        .for_update()
        .first(tx.conn)
        .optional()?)
}

/// The account of a login: a canonical address or a username in lower case.
///
/// # Errors
/// When the database fails.
pub fn find_by_login(tx: &mut Tx<'_>, login: &str) -> Result<Option<User>, Error> {
    let query = users::table.select(User::as_select());
    Ok(if login.contains('@') {
        query.filter(users::email.eq(login)).first(tx.conn).optional()?
    } else {
        query.filter(users::username.eq(login)).first(tx.conn).optional()?
    })
}

/// Whether an address has a proven account, or is kept for one whose change of address can still be undone; what is kept
/// for `except` is not taken for them.
///
/// # Errors
/// When the database fails.
pub fn is_taken(tx: &mut Tx<'_>, email: &str, except: Option<UserId>) -> Result<bool, Error> {
    let verified = users::table
        .filter(users::email.eq(email))
        .filter(users::email_verified_at.is_not_null());
    let kept = email_changes::table
        .filter(email_changes::old_email.eq(email))
        .filter(email_changes::confirmed_at.is_not_null())
        .filter(email_changes::reverted_at.is_null())
        .filter(email_changes::revert_expires_at.gt(tx.now))
        .filter(email_changes::user_id.nullable().is_distinct_from(except));
    Ok(diesel::select(exists(verified).or(exists(kept))).get_result(tx.conn)?)
}

/// Makes an account without password and with its address unproven, unless the address has one.
pub fn insert_unverified(tx: &mut Tx<'_>, email: &EmailAddress, locale: Locale) -> Result<(), Error> {
    diesel::insert_into(users::table)
        .values((
            users::id.eq(UserId::new(tx.now)),
            users::email.eq(email.as_str()),
            users::locale.eq(locale.as_str()),
            users::created_at.eq(tx.now),
            users::updated_at.eq(tx.now),
        ))
        .on_conflict(users::email)
        .do_nothing()
        .execute(tx.conn)?;
    Ok(())
}

/// What a verified registration sets on its user.
pub struct VerifiedRegistration<'a> {
    pub password_hash: &'a str,
    pub nickname: Option<&'a str>,
    pub locale: &'a str,
}

/// Proves an account's address and gives it its password.
pub fn verify(tx: &mut Tx<'_>, id: UserId, credentials: &VerifiedRegistration<'_>) -> Result<(), Error> {
    diesel::update(users::table.find(id))
        .set((
            users::email_verified_at.eq(tx.now),
            users::password_hash.eq(credentials.password_hash),
            users::password_changed_at.eq(tx.now),
            users::nickname.eq(credentials.nickname),
            users::locale.eq(credentials.locale),
            users::version.eq(users::version + 1),
            users::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

pub fn set_avatar(tx: &mut Tx<'_>, id: UserId, avatar_id: Option<ImageId>) -> Result<(), Error> {
    diesel::update(users::table.find(id))
        .set((users::avatar_id.eq(avatar_id), users::updated_at.eq(tx.now)))
        .execute(tx.conn)?;
    Ok(())
}

pub struct ProfileChange {
    pub username: Option<String>,
    pub nickname: Option<Option<String>>,
    pub locale: Option<&'static str>,
    pub time_zone: Option<String>,
}

#[derive(AsChangeset)]
#[diesel(table_name = users)]
struct ProfileColumns {
    username: Option<String>,
    nickname: Option<Option<String>>,
    locale: Option<&'static str>,
    time_zone: Option<String>,
}

/// Changes the profile; a username that is taken breaks `users_username_key`.
pub fn update_profile(tx: &mut Tx<'_>, id: UserId, change: ProfileChange) -> Result<User, diesel::result::Error> {
    let ProfileChange {
        username,
        nickname,
        locale,
        time_zone,
    } = change;
    diesel::update(users::table.find(id))
        .set((
            ProfileColumns {
                username,
                nickname,
                locale,
                time_zone,
            },
            users::version.eq(users::version + 1),
            users::updated_at.eq(tx.now),
        ))
        .returning(User::as_returning())
        .get_result(tx.conn)
}

/// Whether a name rests, after somebody other than `user_id` gave it up.
pub fn is_resting(tx: &mut Tx<'_>, username: &Username, user_id: UserId) -> Result<bool, Error> {
    let resting = released_usernames::table
        .find(username.as_str())
        .filter(released_usernames::released_at.gt(tx.now - USERNAME_REST))
        .filter(released_usernames::user_id.is_distinct_from(user_id.uuid()));
    Ok(diesel::select(exists(resting)).get_result(tx.conn)?)
}

pub fn has_username(tx: &mut Tx<'_>, username: &Username, except: UserId) -> Result<bool, Error> {
    let taken = users::table
        .filter(users::username.eq(username.as_str()))
        .filter(users::id.ne(except));
    Ok(diesel::select(exists(taken)).get_result(tx.conn)?)
}

/// Lets a name rest, so that nobody else has it for a while.
///
/// # Errors
/// When the database fails.
pub fn release_username(tx: &mut Tx<'_>, username: &str, user_id: UserId) -> Result<(), Error> {
    diesel::insert_into(released_usernames::table)
        .values((
            released_usernames::username.eq(username),
            released_usernames::user_id.eq(user_id),
            released_usernames::released_at.eq(tx.now),
        ))
        .on_conflict(released_usernames::username)
        .do_update()
        .set((
            released_usernames::user_id.eq(user_id),
            released_usernames::released_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// Gives an account a new password, and proves its address if that was not done: the mailbox has shown itself. `seen` is the
/// hash that was checked; nothing happens, and the answer is no, when it has changed since.
///
/// # Errors
/// When the database fails.
pub fn set_password(tx: &mut Tx<'_>, id: UserId, seen: Option<&str>, hash: &str) -> Result<bool, Error> {
    let unchanged = users::table
        .find(id)
        .filter(users::password_hash.is_not_distinct_from(seen));
    let changed = diesel::update(unchanged)
        .set((
            users::password_hash.eq(hash),
            users::password_changed_at.eq(tx.now),
            users::email_verified_at.eq(diesel::dsl::case_when(
                users::email_verified_at.is_null(),
                tx.now
                    .into_sql::<diesel::sql_types::Nullable<diesel::sql_types::Timestamptz>>(),
            )
            .otherwise(users::email_verified_at)),
        ))
        .execute(tx.conn)?;
    Ok(changed == 1)
}

/// Takes an account's password away, until a new one is set by mail.
///
/// # Errors
/// When the database fails.
pub fn invalidate_password(tx: &mut Tx<'_>, id: UserId) -> Result<(), Error> {
    diesel::update(users::table.find(id))
        .set(users::password_hash.eq(None::<String>))
        .execute(tx.conn)?;
    Ok(())
}

/// Deletes an account that nobody has proven to be theirs, so that its address is free for who has.
///
/// # Errors
/// When the database fails.
pub fn delete_unverified(tx: &mut Tx<'_>, email: &str) -> Result<(), Error> {
    let unproven = users::table
        .filter(users::email.eq(email))
        .filter(users::email_verified_at.is_null());
    diesel::delete(unproven).execute(tx.conn)?;
    Ok(())
}

/// Gives an account another, proven, address; one that is taken breaks `users_email_key`.
///
/// # Errors
/// When the database fails.
pub fn move_email(tx: &mut Tx<'_>, id: UserId, email: &str) -> Result<(), diesel::result::Error> {
    diesel::update(users::table.find(id))
        .set((
            users::email.eq(email),
            users::email_verified_at.eq(tx.now),
            users::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)
        .map(|_| ())
}

/// Makes an account on the operator's word; a taken address or username breaks its unique constraint.
pub fn insert(
    tx: &mut Tx<'_>,
    email: &EmailAddress,
    username: &Username,
    role: PlatformRole,
    verified_with: Option<&str>,
) -> Result<UserId, diesel::result::Error> {
    let id = UserId::new(tx.now);
    diesel::insert_into(users::table)
        .values((
            users::id.eq(id),
            users::email.eq(email.as_str()),
            users::email_verified_at.eq(verified_with.map(|_| tx.now)),
            users::password_hash.eq(verified_with),
            users::password_changed_at.eq(verified_with.map(|_| tx.now)),
            users::username.eq(username.as_str()),
            users::role.eq(role.as_str()),
            users::created_at.eq(tx.now),
            users::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(id)
}

/// Every account, newest first.
///
/// # Errors
/// When the database fails.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<User>, Error> {
    Ok(users::table
        .order(users::created_at.desc())
        .select(User::as_select())
        .load(tx.conn)?)
}

/// Gives an account a role on the platform.
///
/// # Errors
/// When the database fails.
pub fn set_role(tx: &mut Tx<'_>, id: UserId, role: PlatformRole) -> Result<(), Error> {
    diesel::update(users::table.find(id))
        .set((users::role.eq(role.as_str()), users::updated_at.eq(tx.now)))
        .execute(tx.conn)?;
    Ok(())
}

/// Disables an account, or enables it again.
///
/// # Errors
/// When the database fails.
pub fn set_disabled(tx: &mut Tx<'_>, id: UserId, disabled: bool) -> Result<(), Error> {
    diesel::update(users::table.find(id))
        .set((
            users::disabled_at.eq(disabled.then_some(tx.now)),
            users::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// Removes an organisation that is about to be deleted from the users whose next login would start in it.
pub fn clear_last_org(tx: &mut Tx<'_>, org_id: OrgId) -> Result<(), Error> {
    diesel::update(users::table.filter(users::last_org_id.eq(org_id)))
        .set(users::last_org_id.eq(None::<OrgId>))
        .execute(tx.conn)?;
    Ok(())
}
