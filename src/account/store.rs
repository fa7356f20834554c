//! Every query on registrations, and the profile.

use crate::db::Tx;
use chrono::TimeDelta;
use diesel::prelude::*;

use super::model::Profile;
use crate::auth::OrgRole;
use crate::db::schema::{email_changes, memberships, notifications, orgs, registrations, users};
use crate::error::Error;
use crate::orgs::membership::OrgSummary;
use crate::users::User;
use crate::values::EmailAddress;
use crate::values::ids::{OrgId, RegistrationId, UserId};
use crate::values::locale::Locale;

pub struct NewRegistration<'a> {
    pub email: &'a EmailAddress,
    pub password_hash: &'a str,
    pub nickname: Option<&'a str>,
    pub locale: Locale,
    pub lifetime: TimeDelta,
}

pub fn insert_registration(tx: &mut Tx<'_>, new: &NewRegistration<'_>) -> Result<RegistrationId, Error> {
    let id = RegistrationId::new(tx.now);
    diesel::insert_into(registrations::table)
        .values((
            registrations::id.eq(id),
            registrations::email.eq(new.email.as_str()),
            registrations::password_hash.eq(new.password_hash),
            registrations::nickname.eq(new.nickname),
            registrations::locale.eq(new.locale.as_str()),
            registrations::created_at.eq(tx.now),
            registrations::expires_at.eq(tx.now + new.lifetime),
        ))
        .execute(tx.conn)?;
    Ok(id)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = registrations, check_for_backend(diesel::pg::Pg))]
pub struct Registration {
    pub id: RegistrationId,
    pub email: String,
    pub password_hash: String,
    pub nickname: Option<String>,
    pub locale: String,
}

pub fn find_registration(tx: &mut Tx<'_>, id: RegistrationId) -> Result<Option<Registration>, Error> {
    Ok(registrations::table
        .find(id)
        .select(Registration::as_select())
        .first(tx.conn)
        .optional()?)
}

/// The newest sign-up of an address that is still open.
pub fn newest_registration(tx: &mut Tx<'_>, email: &str) -> Result<Option<Registration>, Error> {
    Ok(registrations::table
        .filter(registrations::email.eq(email))
        .filter(registrations::expires_at.gt(tx.now))
        .order(registrations::created_at.desc())
        .select(Registration::as_select())
        .first(tx.conn)
        .optional()?)
}

/// The password hash of the newest open sign-up of an address: who signed up with it is told to verify it, whether or not
/// it has an account as well.
///
/// # Errors
/// When the database fails.
pub fn registered_hash(tx: &mut Tx<'_>, email: &str) -> Result<Option<String>, Error> {
    Ok(newest_registration(tx, email)?.map(|registration| registration.password_hash))
}

/// Ends all sign-ups of an address.
///
/// # Errors
/// When the database fails.
pub fn delete_registrations(tx: &mut Tx<'_>, email: &str) -> Result<(), Error> {
    diesel::delete(registrations::table.filter(registrations::email.eq(email))).execute(tx.conn)?;
    Ok(())
}

/// Forgets sign-ups that were never proven.
///
/// # Errors
/// When the database fails.
pub fn delete_expired_registrations(tx: &mut Tx<'_>) -> Result<usize, Error> {
    Ok(diesel::delete(registrations::table.filter(registrations::expires_at.le(tx.now))).execute(tx.conn)?)
}

/// A person's account with what other slices hold about them, in one statement: it is asked for often.
pub fn find_profile(tx: &mut Tx<'_>, id: UserId, org_id: Option<OrgId>) -> Result<Option<Profile>, Error> {
    type Row = (
        User,
        Option<String>,
        Option<i64>,
        Option<(OrgId, String, String, String)>,
    );
    let pending = email_changes::table
        .filter(email_changes::user_id.eq(id))
        .filter(email_changes::confirmed_at.is_null())
        .filter(email_changes::cancelled_at.is_null())
        .filter(email_changes::expires_at.gt(tx.now))
        .select(email_changes::new_email);
    let unread = notifications::table
        .filter(notifications::user_id.eq(id))
        .filter(notifications::read_at.is_null())
        .count();
    let acting = memberships::user_id
        .eq(users::id)
        .and(memberships::org_id.nullable().eq(org_id));
    let row: Option<Row> = users::table
        .left_join(memberships::table.inner_join(orgs::table).on(acting))
        .filter(users::id.eq(id))
        .select((
            User::as_select(),
            pending.single_value(),
            unread.single_value(),
            (orgs::id, orgs::name, orgs::slug, memberships::role).nullable(),
        ))
        .first(tx.conn)
        .optional()?;
    Ok(row.map(|(user, pending_email, unread, org)| Profile {
        user,
        pending_email,
        unread_notifications: unread.unwrap_or_default(),
        org: org.map(|(id, name, slug, role)| OrgSummary {
            id,
            name,
            slug,
            role: OrgRole::stored(&role),
        }),
    }))
}
