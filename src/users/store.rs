//! Queries on the tables `users` and `released_usernames`.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::{case_when, exists};
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text, Timestamptz};

use super::model::{User, Username};
use crate::auth::PlatformRole;
use crate::db::Tx;
use crate::db::schema::{email_changes, released_usernames, users};
use crate::db::sweep::{self, Sweep};
use crate::error::Error;
use crate::values::EmailAddress;
use crate::values::ids::{ImageId, OrgId, UserId};
use crate::values::locale::Locale;

/// How long a released username is reserved for the user who released it.
const USERNAME_RESERVATION: TimeDelta = TimeDelta::days(30);

/// # Errors
/// `not_found` when the account does not exist.
pub fn find(tx: &mut Tx<'_>, id: UserId) -> Result<User, Error> {
    let found = users::table
        .find(id)
        .select(User::as_select())
        .first(tx.conn)
        .optional()?;
    found.ok_or_else(Error::not_found)
}

/// The account, locked until the end of the transaction. Like every lock on accounts it is `FOR NO KEY UPDATE`, so that
/// others can insert rows that refer to the account, such as notifications.
///
/// # Errors
/// `not_found` when the account does not exist.
pub fn lock(tx: &mut Tx<'_>, id: UserId) -> Result<User, Error> {
    let found = users::table
        .find(id)
        .select(User::as_select())
        .for_no_key_update()
        .first(tx.conn)
        .optional()?;
    found.ok_or_else(Error::not_found)
}

/// Those of the accounts that exist, locked in the order of their ids, so that two callers who lock the same accounts wait
/// for each other instead of deadlocking.
pub fn lock_all(tx: &mut Tx<'_>, ids: &[UserId]) -> Result<Vec<User>, Error> {
    Ok(users::table
        .filter(users::id.eq_any(ids))
        .order(users::id)
        .select(User::as_select())
        .for_no_key_update()
        .load(tx.conn)?)
}

/// The platform administrators, disabled ones included.
pub fn list_admin_ids(tx: &mut Tx<'_>) -> Result<Vec<UserId>, Error> {
    Ok(users::table
        .filter(users::role.eq(PlatformRole::Admin))
        .select(users::id)
        .load(tx.conn)?)
}

pub fn lock_by_email(tx: &mut Tx<'_>, email: &str) -> Result<Option<User>, Error> {
    Ok(users::table
        .filter(users::email.eq(email))
        .select(User::as_select())
        .for_no_key_update()
        .first(tx.conn)
        .optional()?)
}

/// The account with this e-mail address (in canonical form) or username (in lower case).
pub fn find_by_login(tx: &mut Tx<'_>, login: &str) -> Result<Option<User>, Error> {
    let query = users::table.select(User::as_select());
    Ok(if login.contains('@') {
        query.filter(users::email.eq(login)).first(tx.conn).optional()?
    } else {
        query.filter(users::username.eq(login)).first(tx.conn).optional()?
    })
}

/// The parameters of all stored password hashes, as in the PHC strings. It reads one index entry for each, however many
/// accounts there are.
pub fn list_hash_parameters(tx: &mut Tx<'_>) -> Result<Vec<String>, Error> {
    const NEXT: &str =
        "SELECT split_part(password_hash, '$', 4) AS parameters FROM users WHERE password_hash IS NOT NULL";
    const FIRST: &str = "ORDER BY 1 LIMIT 1";
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        parameters: String,
    }
    let statement = format!(
        "WITH RECURSIVE used AS ( \
             ({NEXT} {FIRST}) \
             UNION ALL \
             SELECT (SELECT next.parameters FROM ({NEXT} AND split_part(password_hash, '$', 4) > used.parameters {FIRST}) next) \
             FROM used WHERE used.parameters IS NOT NULL \
         ) SELECT parameters FROM used WHERE parameters IS NOT NULL"
    );
    let rows: Vec<Row> = diesel::sql_query(statement).load(tx.conn)?;
    Ok(rows.into_iter().map(|row| row.parameters).collect())
}

/// Every account, newest first.
pub fn list_all(tx: &mut Tx<'_>) -> Result<Vec<User>, Error> {
    Ok(users::table
        .order(users::created_at.desc())
        .select(User::as_select())
        .load(tx.conn)?)
}

/// Whether an account has verified the address, or the address is the old one of a change that can still be reverted. The
/// changes of `except` don't count: its user may take the old address back.
pub fn is_email_taken(tx: &mut Tx<'_>, email: &str, except: Option<UserId>) -> Result<bool, Error> {
    let verified = users::table
        .filter(users::email.eq(email))
        .filter(users::email_verified_at.is_not_null());
    let revertible = email_changes::table
        .filter(email_changes::old_email.eq(email))
        .filter(email_changes::confirmed_at.is_not_null())
        .filter(email_changes::reverted_at.is_null())
        .filter(email_changes::revert_expires_at.gt(tx.now))
        .filter(email_changes::user_id.nullable().is_distinct_from(except));
    Ok(diesel::select(exists(verified).or(exists(revertible))).get_result(tx.conn)?)
}

/// Creates an account without a password whose address is not verified, unless the address has an account. An unverified one
/// is then kept as long as if it had been created now.
pub fn insert_unverified(tx: &mut Tx<'_>, email: &EmailAddress, locale: Locale) -> Result<(), Error> {
    let inserted = diesel::insert_into(users::table)
        .values((
            users::id.eq(UserId::new(tx.now)),
            users::email.eq(email.as_str()),
            users::locale.eq(locale),
            users::created_at.eq(tx.now),
            users::updated_at.eq(tx.now),
        ))
        .on_conflict(users::email)
        .do_nothing()
        .execute(tx.conn)?;
    if inserted == 0 {
        keep_unverified(tx, email.as_str())?;
    }
    Ok(())
}

/// Keeps the account of an address that is not verified as long as if it had been created now, because a link that can verify
/// the address is being mailed.
pub fn keep_unverified(tx: &mut Tx<'_>, email: &str) -> Result<(), Error> {
    let unverified = users::table
        .filter(users::email.eq(email))
        .filter(users::email_verified_at.is_null());
    diesel::update(unverified)
        .set(users::updated_at.eq(tx.now))
        .execute(tx.conn)?;
    Ok(())
}

/// Creates an account for an operator. With `verified_password_hash` its address counts as verified. A taken address
/// violates `users_email_key`, a taken username `users_username_key`.
pub fn insert(
    tx: &mut Tx<'_>,
    email: &EmailAddress,
    username: &Username,
    role: PlatformRole,
    verified_password_hash: Option<&str>,
) -> Result<UserId, diesel::result::Error> {
    let id = UserId::new(tx.now);
    let verified_at = verified_password_hash.map(|_| tx.now);
    diesel::insert_into(users::table)
        .values((
            users::id.eq(id),
            users::email.eq(email.as_str()),
            users::email_verified_at.eq(verified_at),
            users::password_hash.eq(verified_password_hash),
            users::password_changed_at.eq(verified_at),
            users::username.eq(username.as_str()),
            users::role.eq(role),
            users::created_at.eq(tx.now),
            users::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(id)
}

/// The data that an account takes over from the registration that was verified.
pub struct VerifiedRegistration<'a> {
    pub password_hash: &'a str,
    pub nickname: Option<&'a str>,
    pub locale: Locale,
}

/// Marks the address as verified and sets password, nickname and language.
pub fn verify(tx: &mut Tx<'_>, id: UserId, registration: &VerifiedRegistration<'_>) -> Result<(), Error> {
    diesel::update(users::table.find(id))
        .set((
            users::email_verified_at.eq(tx.now),
            users::password_hash.eq(registration.password_hash),
            users::password_changed_at.eq(tx.now),
            users::nickname.eq(registration.nickname),
            users::locale.eq(registration.locale),
            users::version.eq(users::version + 1),
            users::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// Deletes the account of an address if the address is not verified, so that the caller can give it to another account.
pub fn delete_unverified(tx: &mut Tx<'_>, email: &str) -> Result<(), Error> {
    let unverified = users::table
        .filter(users::email.eq(email))
        .filter(users::email_verified_at.is_null());
    diesel::delete(unverified).execute(tx.conn)?;
    Ok(())
}

/// Deletes the account of an address if registrations made it and none of them was verified. Unlike
/// [`delete_unverified`], it keeps the accounts that operators created, which have a username.
pub fn delete_unclaimed(tx: &mut Tx<'_>, email: &str) -> Result<(), Error> {
    let unclaimed = users::table
        .filter(users::email.eq(email))
        .filter(users::email_verified_at.is_null())
        .filter(users::username.is_null());
    diesel::delete(unclaimed).execute(tx.conn)?;
    Ok(())
}

/// Deletes the account and, by foreign keys, everything that belongs to it alone.
pub fn delete(tx: &mut Tx<'_>, id: UserId) -> Result<(), Error> {
    diesel::delete(users::table.find(id)).execute(tx.conn)?;
    Ok(())
}

/// The columns that a profile change sets; `None` keeps a column.
#[derive(AsChangeset)]
#[diesel(table_name = users)]
pub struct ProfileChange {
    pub username: Option<String>,
    pub nickname: Option<Option<String>>,
    pub locale: Option<Locale>,
    pub time_zone: Option<String>,
}

/// Changes the profile. A taken username violates `users_username_key`.
pub fn update_profile(tx: &mut Tx<'_>, id: UserId, change: ProfileChange) -> Result<(), diesel::result::Error> {
    diesel::update(users::table.find(id))
        .set((
            change,
            users::version.eq(users::version + 1),
            users::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)
        .map(|_| ())
}

pub fn set_avatar(tx: &mut Tx<'_>, id: UserId, avatar_id: Option<ImageId>) -> Result<(), Error> {
    diesel::update(users::table.find(id))
        .set((users::avatar_id.eq(avatar_id), users::updated_at.eq(tx.now)))
        .execute(tx.conn)?;
    Ok(())
}

/// Sets the address, as verified. A taken address violates `users_email_key`.
pub fn set_email(tx: &mut Tx<'_>, id: UserId, email: &str) -> Result<(), diesel::result::Error> {
    diesel::update(users::table.find(id))
        .set((
            users::email.eq(email),
            users::email_verified_at.eq(tx.now),
            users::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)
        .map(|_| ())
}

/// Sets a new password and marks the address as verified.
pub fn set_password(tx: &mut Tx<'_>, id: UserId, new_hash: &str) -> Result<(), Error> {
    let now = tx.now.into_sql::<Nullable<Timestamptz>>();
    diesel::update(users::table.find(id))
        .set((
            users::password_hash.eq(new_hash),
            users::password_changed_at.eq(tx.now),
            users::email_verified_at
                .eq(case_when(users::email_verified_at.is_null(), now).otherwise(users::email_verified_at)),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// Removes the password; only a password reset sets one again.
pub fn remove_password(tx: &mut Tx<'_>, id: UserId) -> Result<(), Error> {
    diesel::update(users::table.find(id))
        .set(users::password_hash.eq(None::<String>))
        .execute(tx.conn)?;
    Ok(())
}

/// Records a login, and stores the hash of the same password under newer parameters, if there is one.
pub fn record_login(tx: &mut Tx<'_>, id: UserId, rehashed: Option<&str>) -> Result<(), Error> {
    let user = users::table.find(id);
    match rehashed {
        Some(hash) => diesel::update(user)
            .set((users::last_login_at.eq(tx.now), users::password_hash.eq(hash)))
            .execute(tx.conn)?,
        None => diesel::update(user)
            .set(users::last_login_at.eq(tx.now))
            .execute(tx.conn)?,
    };
    Ok(())
}

/// Sets the organisation in which the next login starts.
pub fn set_last_org(tx: &mut Tx<'_>, id: UserId, org_id: Option<OrgId>) -> Result<(), Error> {
    diesel::update(users::table.find(id))
        .set(users::last_org_id.eq(org_id))
        .execute(tx.conn)?;
    Ok(())
}

/// The users whose next login would start in an organisation.
pub fn list_ids_by_last_org(tx: &mut Tx<'_>, org_id: OrgId) -> Result<Vec<UserId>, Error> {
    Ok(users::table
        .filter(users::last_org_id.eq(org_id))
        .select(users::id)
        .load(tx.conn)?)
}

/// Removes an organisation that is about to be deleted from the users whose next login would start in it.
pub fn clear_last_org(tx: &mut Tx<'_>, org_id: OrgId) -> Result<(), Error> {
    diesel::update(users::table.filter(users::last_org_id.eq(org_id)))
        .set(users::last_org_id.eq(None::<OrgId>))
        .execute(tx.conn)?;
    Ok(())
}

/// Sets the columns that platform admins and operators control.
pub fn set_access(
    tx: &mut Tx<'_>,
    id: UserId,
    role: PlatformRole,
    disabled_at: Option<DateTime<Utc>>,
) -> Result<User, Error> {
    Ok(diesel::update(users::table.find(id))
        .set((
            users::role.eq(role),
            users::disabled_at.eq(disabled_at),
            users::updated_at.eq(tx.now),
        ))
        .returning(User::as_returning())
        .get_result(tx.conn)?)
}

pub fn is_username_taken(tx: &mut Tx<'_>, username: &str, except: UserId) -> Result<bool, Error> {
    let taken = users::table
        .filter(users::username.eq(username))
        .filter(users::id.ne(except));
    Ok(diesel::select(exists(taken)).get_result(tx.conn)?)
}

/// Whether another user released the name less than 30 days ago.
pub fn is_username_reserved(tx: &mut Tx<'_>, username: &str, user_id: UserId) -> Result<bool, Error> {
    let reserved = released_usernames::table
        .find(username)
        .filter(released_usernames::released_at.gt(tx.now - USERNAME_RESERVATION))
        .filter(released_usernames::user_id.is_distinct_from(user_id.uuid()));
    Ok(diesel::select(exists(reserved)).get_result(tx.conn)?)
}

/// Reserves a name that its user gives up.
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

/// Accounts whose address was never verified, some time after a link that could verify it was last mailed. A disabled one
/// stays, because an administrator keeps the address from being registered with it.
pub const UNVERIFIED_SWEEP: Sweep = Sweep {
    table: "users",
    ended: "email_verified_at IS NULL AND disabled_at IS NULL AND updated_at < $1",
    order_by: "updated_at",
    retention: |config| sweep::days(config.retention_unverified_days),
    cutoff_setting: None,
};

/// Names that may be taken again.
pub const RELEASED_USERNAMES_SWEEP: Sweep = Sweep {
    table: "released_usernames",
    ended: "released_at < $1",
    order_by: "released_at",
    retention: |_| Some(USERNAME_RESERVATION),
    cutoff_setting: None,
};
