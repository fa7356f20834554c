//! [`Tx`]: a connection in a transaction.

use chrono::{DateTime, Utc};
use diesel::connection::TransactionManager;
use diesel::pg::PgConnection;

use crate::error::Error;

/// A connection, usually in a transaction, and the instant for which everything is decided.
pub struct Tx<'a> {
    pub conn: &'a mut PgConnection,
    pub now: DateTime<Utc>,
    /// False with `KEYWARD_RATE_LIMITS=off`.
    pub rate_limits: bool,
    pub(super) mail_queued: bool,
}

impl<'a> Tx<'a> {
    pub const fn new(conn: &'a mut PgConnection, now: DateTime<Utc>) -> Self {
        Self {
            conn,
            now,
            rate_limits: true,
            mail_queued: false,
        }
    }

    /// Makes the commit wake the mailer.
    pub const fn queue_mail(&mut self) {
        self.mail_queued = true;
    }
}

/// Runs `work` in a transaction on an open connection: `Ok` commits, `Err` rolls back.
///
/// # Errors
/// The error of `work`, or that of BEGIN or COMMIT.
pub fn transaction<T>(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    type Manager = <PgConnection as diesel::Connection>::TransactionManager;
    Manager::begin_transaction(conn)?;
    match work(&mut Tx::new(conn, now)) {
        Ok(value) => {
            Manager::commit_transaction(conn)?;
            Ok(value)
        }
        Err(error) => {
            // The caller needs the first error. The pool drops a connection whose rollback fails.
            if let Err(rollback) = Manager::rollback_transaction(conn) {
                tracing::debug!(error = %rollback, "cannot roll back");
            }
            Err(error)
        }
    }
}
