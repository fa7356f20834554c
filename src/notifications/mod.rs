//! The notification centre: what a person is told about their account and their organisations.
//!
//! A notification is written in the transaction of what it tells. Its text is made when it is read, in the reader's
//! language. One that is about something that can still be decided (an invitation, a request to join, a change of
//! address) is resolved, everywhere, once that is decided.

mod model;
mod store;

pub use model::{Notice, Subject};

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;

use crate::error::Error;
use crate::ids::UserId;

/// Tells a person something, in the caller's transaction.
///
/// # Errors
/// When the database fails.
pub fn notify(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    user_id: UserId,
    notice: &Notice,
    about: Option<Subject>,
) -> Result<(), Error> {
    store::insert(connection, now, user_id, notice, about)
}

/// Settles all notifications about something that was decided, in the caller's transaction.
///
/// # Errors
/// When the database fails.
pub fn resolve(connection: &mut PgConnection, now: DateTime<Utc>, about: Subject) -> Result<(), Error> {
    store::resolve(connection, now, about)
}

/// How many a person has not read.
///
/// # Errors
/// When the database fails.
pub fn count_unread(connection: &mut PgConnection, user_id: UserId) -> Result<i64, Error> {
    store::count_unread(connection, user_id)
}
