//! Queries on the table `registrations`.

use chrono::TimeDelta;
use diesel::dsl::exists;
use diesel::prelude::*;

use super::model::{LIFETIME, Registration};
use crate::db::Tx;
use crate::db::schema::registrations;
use crate::db::sweep::Sweep;
use crate::error::Error;
use crate::values::EmailAddress;
use crate::values::ids::{RegistrationId, UserId};
use crate::values::locale::Locale;

pub struct RegistrationInsert<'a> {
    pub email: &'a EmailAddress,
    /// From [`hash_password`](super::hash_password).
    pub password_hash: &'a str,
    pub nickname: Option<&'a str>,
    pub locale: Locale,
    /// The account, if an operator created it together with this registration.
    pub user_id: Option<UserId>,
}

pub fn insert(tx: &mut Tx<'_>, new: &RegistrationInsert<'_>) -> Result<RegistrationId, Error> {
    let id = RegistrationId::new(tx.now);
    diesel::insert_into(registrations::table)
        .values((
            registrations::id.eq(id),
            registrations::email.eq(new.email.as_str()),
            registrations::password_hash.eq(new.password_hash),
            registrations::nickname.eq(new.nickname),
            registrations::locale.eq(new.locale),
            registrations::created_at.eq(tx.now),
            registrations::expires_at.eq(tx.now + LIFETIME),
            registrations::user_id.eq(new.user_id),
        ))
        .execute(tx.conn)?;
    Ok(id)
}

pub fn find(tx: &mut Tx<'_>, id: RegistrationId) -> Result<Option<Registration>, Error> {
    Ok(registrations::table
        .find(id)
        .select(Registration::as_select())
        .first(tx.conn)
        .optional()?)
}

/// The registration whose link to mail again, among those of an address that have not expired: that of an operator, because
/// only its link keeps the role of the account, or else the newest.
pub fn find_to_resend(tx: &mut Tx<'_>, email: &str) -> Result<Option<Registration>, Error> {
    Ok(registrations::table
        .filter(registrations::email.eq(email))
        .filter(registrations::expires_at.gt(tx.now))
        .order((registrations::user_id.is_null(), registrations::created_at.desc()))
        .select(Registration::as_select())
        .first(tx.conn)
        .optional()?)
}

/// Whether an address has a registration with this hash that has not expired.
pub fn has_password(tx: &mut Tx<'_>, email: &str, password_hash: &str) -> Result<bool, Error> {
    let with_password = registrations::table
        .filter(registrations::email.eq(email))
        .filter(registrations::password_hash.eq(password_hash))
        .filter(registrations::expires_at.gt(tx.now));
    Ok(diesel::select(exists(with_password)).get_result(tx.conn)?)
}

/// Lets a registration expire as late as the link that is mailed now.
pub fn extend(tx: &mut Tx<'_>, id: RegistrationId) -> Result<(), Error> {
    diesel::update(registrations::table.find(id))
        .set(registrations::expires_at.eq(tx.now + LIFETIME))
        .execute(tx.conn)?;
    Ok(())
}

/// Deletes all registrations of an address; their links stop working.
pub fn delete_by_email(tx: &mut Tx<'_>, email: &str) -> Result<(), Error> {
    diesel::delete(registrations::table.filter(registrations::email.eq(email))).execute(tx.conn)?;
    Ok(())
}

/// Registrations whose link has expired. They are of no use any more, and contain the hash of a password.
pub const SWEEP: Sweep = Sweep {
    table: "registrations",
    ended: "expires_at < $1",
    order_by: "expires_at",
    retention: |_| Some(TimeDelta::zero()),
    cutoff_setting: None,
};
