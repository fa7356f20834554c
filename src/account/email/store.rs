//! Queries on the table `email_changes`.

use chrono::TimeDelta;
use diesel::prelude::*;

use super::model::{EmailChange, LIFETIME, REVERT_WINDOW};
use crate::db::Tx;
use crate::db::schema::email_changes;
use crate::db::sweep::Sweep;
use crate::error::Error;
use crate::values::ids::{EmailChangeId, UserId};

/// The change of a user that is neither confirmed nor cancelled. It may have expired.
pub fn find_open(tx: &mut Tx<'_>, user_id: UserId) -> Result<Option<EmailChange>, Error> {
    Ok(email_changes::table
        .filter(email_changes::user_id.eq(user_id))
        .filter(email_changes::confirmed_at.is_null())
        .filter(email_changes::cancelled_at.is_null())
        .select(EmailChange::as_select())
        .first(tx.conn)
        .optional()?)
}

pub fn find(tx: &mut Tx<'_>, id: EmailChangeId) -> Result<Option<EmailChange>, Error> {
    Ok(email_changes::table
        .find(id)
        .select(EmailChange::as_select())
        .first(tx.conn)
        .optional()?)
}

pub fn insert(tx: &mut Tx<'_>, user_id: UserId, old_email: &str, new_email: &str) -> Result<EmailChange, Error> {
    Ok(diesel::insert_into(email_changes::table)
        .values((
            email_changes::id.eq(EmailChangeId::new(tx.now)),
            email_changes::user_id.eq(user_id),
            email_changes::old_email.eq(old_email),
            email_changes::new_email.eq(new_email),
            email_changes::requested_at.eq(tx.now),
            email_changes::expires_at.eq(tx.now + LIFETIME),
        ))
        .returning(EmailChange::as_returning())
        .get_result(tx.conn)?)
}

pub fn cancel(tx: &mut Tx<'_>, id: EmailChangeId) -> Result<(), Error> {
    diesel::update(email_changes::table.find(id))
        .set(email_changes::cancelled_at.eq(tx.now))
        .execute(tx.conn)?;
    Ok(())
}

/// Starts the time in which the change can be confirmed anew.
pub fn prolong(tx: &mut Tx<'_>, id: EmailChangeId) -> Result<EmailChange, Error> {
    Ok(diesel::update(email_changes::table.find(id))
        .set(email_changes::expires_at.eq(tx.now + LIFETIME))
        .returning(EmailChange::as_returning())
        .get_result(tx.conn)?)
}

pub fn confirm(tx: &mut Tx<'_>, id: EmailChangeId) -> Result<(), Error> {
    diesel::update(email_changes::table.find(id))
        .set((
            email_changes::confirmed_at.eq(tx.now),
            email_changes::revert_expires_at.eq(tx.now + REVERT_WINDOW),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// Marks a confirmed change, and every change of the user that was confirmed after it, as reverted.
pub fn mark_reverted_from(tx: &mut Tx<'_>, change: &EmailChange) -> Result<(), Error> {
    let this_and_later = email_changes::table
        .filter(email_changes::user_id.eq(change.user_id))
        .filter(email_changes::confirmed_at.ge(change.confirmed_at))
        .filter(email_changes::reverted_at.is_null());
    diesel::update(this_and_later)
        .set(email_changes::reverted_at.eq(tx.now))
        .execute(tx.conn)?;
    Ok(())
}

/// Changes that can neither be confirmed nor reverted any more.
pub const SWEEP: Sweep = Sweep {
    table: "email_changes",
    ended: "expires_at < $1 AND (revert_expires_at IS NULL OR revert_expires_at < $1)",
    order_by: "expires_at",
    retention: |_| Some(TimeDelta::days(180)),
    cutoff_setting: None,
};
