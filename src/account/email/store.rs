//! Every query on changes of address.

use crate::db::Tx;
use diesel::prelude::*;

use super::model::{EmailChange, LIFETIME, REVERT_WINDOW};
use crate::db::schema::email_changes as table;
use crate::error::Error;
use crate::values::ids::{EmailChangeId, UserId};

/// The change of a person that is neither confirmed nor cancelled; it may have expired.
pub fn find_open(tx: &mut Tx<'_>, user_id: UserId) -> Result<Option<EmailChange>, Error> {
    Ok(table::table
        .filter(table::user_id.eq(user_id))
        .filter(table::confirmed_at.is_null())
        .filter(table::cancelled_at.is_null())
        .select(EmailChange::as_select())
        .first(tx.conn)
        .optional()?)
}

pub fn find(tx: &mut Tx<'_>, id: EmailChangeId) -> Result<Option<EmailChange>, Error> {
    Ok(table::table
        .find(id)
        .select(EmailChange::as_select())
        .first(tx.conn)
        .optional()?)
}

pub fn insert(tx: &mut Tx<'_>, user_id: UserId, old_email: &str, new_email: &str) -> Result<EmailChange, Error> {
    Ok(diesel::insert_into(table::table)
        .values((
            table::id.eq(EmailChangeId::new(tx.now)),
            table::user_id.eq(user_id),
            table::old_email.eq(old_email),
            table::new_email.eq(new_email),
            table::requested_at.eq(tx.now),
            table::expires_at.eq(tx.now + LIFETIME),
        ))
        .returning(EmailChange::as_returning())
        .get_result(tx.conn)?)
}

pub fn cancel(tx: &mut Tx<'_>, id: EmailChangeId) -> Result<(), Error> {
    diesel::update(table::table.find(id))
        .set(table::cancelled_at.eq(tx.now))
        .execute(tx.conn)?;
    Ok(())
}

pub fn prolong(tx: &mut Tx<'_>, id: EmailChangeId) -> Result<EmailChange, Error> {
    Ok(diesel::update(table::table.find(id))
        .set(table::expires_at.eq(tx.now + LIFETIME))
        .returning(EmailChange::as_returning())
        .get_result(tx.conn)?)
}

pub fn confirm(tx: &mut Tx<'_>, id: EmailChangeId) -> Result<(), Error> {
    diesel::update(table::table.find(id))
        .set((
            table::confirmed_at.eq(tx.now),
            table::revert_expires_at.eq(tx.now + REVERT_WINDOW),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// Undoes a change, and with it every change of the person that took effect after it.
pub fn revert_from(tx: &mut Tx<'_>, change: &EmailChange) -> Result<(), Error> {
    let it_and_later = table::table
        .filter(table::user_id.eq(change.user_id))
        .filter(table::confirmed_at.ge(change.confirmed_at))
        .filter(table::reverted_at.is_null());
    diesel::update(it_and_later)
        .set(table::reverted_at.eq(tx.now))
        .execute(tx.conn)?;
    Ok(())
}
