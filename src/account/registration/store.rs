//! Queries on the table `registrations`.

use diesel::prelude::*;

use super::model::{LIFETIME, Registration};
use crate::db::Tx;
use crate::db::schema::registrations;
use crate::error::Error;
use crate::values::EmailAddress;
use crate::values::ids::RegistrationId;
use crate::values::locale::Locale;

pub struct RegistrationInsert<'a> {
    pub email: &'a EmailAddress,
    pub password_hash: &'a str,
    pub nickname: Option<&'a str>,
    pub locale: Locale,
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

/// The newest registration of an address that has not expired.
pub fn find_newest(tx: &mut Tx<'_>, email: &str) -> Result<Option<Registration>, Error> {
    Ok(registrations::table
        .filter(registrations::email.eq(email))
        .filter(registrations::expires_at.gt(tx.now))
        .order(registrations::created_at.desc())
        .select(Registration::as_select())
        .first(tx.conn)
        .optional()?)
}

/// The password hash of the newest registration of an address. A login with this password gets the error
/// `email_unverified`, whether or not the address also has an account.
pub fn newest_password_hash(tx: &mut Tx<'_>, email: &str) -> Result<Option<String>, Error> {
    Ok(find_newest(tx, email)?.map(|registration| registration.password_hash))
}

/// Deletes all registrations of an address; their links stop working.
pub fn delete_by_email(tx: &mut Tx<'_>, email: &str) -> Result<(), Error> {
    diesel::delete(registrations::table.filter(registrations::email.eq(email))).execute(tx.conn)?;
    Ok(())
}

pub fn delete_expired(tx: &mut Tx<'_>) -> Result<usize, Error> {
    Ok(diesel::delete(registrations::table.filter(registrations::expires_at.le(tx.now))).execute(tx.conn)?)
}
