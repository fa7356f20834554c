//! PostgreSQL: a bounded connection pool, transactions, LISTEN, migrations.
//!
//! diesel is synchronous, so statements run on a [`BlockingPool`] with one thread per connection: a job that has
//! started finds a free connection without waiting. Both waits are bounded; a request that gets neither thread nor
//! connection in time fails with 503.

mod invalidation_log;
pub mod listener;
pub mod migrations;
mod pool;
pub mod schema;
pub mod sweep;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::connection::TransactionManager;
use diesel::pg::PgConnection;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use secrecy::SecretString;
use tokio::sync::Notify;

use self::listener::{Event, Listener};
use self::pool::{ConnectionManager, PoolGeneration};
use crate::blocking_pool::BlockingPool;
use crate::error::{Code, Error};

pub use invalidation_log::{Freshness, InvalidationLog, ReadVersion};

/// Maximum time a job waits for a thread, and then for a connection.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_mins(10);

/// A handle of the database. Clones share the pool.
#[derive(Clone)]
pub struct Db {
    connections: r2d2::Pool<ConnectionManager>,
    blocking_pool: Arc<BlockingPool>,
    url: SecretString,
    generation: PoolGeneration,
    invalidation_log: Arc<InvalidationLog>,
    listener: Arc<OnceLock<Listener>>,
    mail_queued: Arc<Notify>,
}

impl Db {
    /// Doesn't connect: the service may start before its database.
    pub fn new(url: &SecretString, max_connections: u32) -> Self {
        let generation = PoolGeneration::default();
        let connections = r2d2::Pool::builder()
            .max_size(max_connections)
            .min_idle(Some(0))
            .connection_timeout(QUEUE_TIMEOUT)
            .idle_timeout(Some(IDLE_CONNECTION_TIMEOUT))
            .test_on_check_out(true)
            .error_handler(Box::new(pool::LogErrors))
            .build_unchecked(ConnectionManager::new(url, generation.clone()));
        Self {
            connections,
            blocking_pool: Arc::new(BlockingPool::new("database", max_connections as usize, QUEUE_TIMEOUT)),
            url: url.clone(),
            generation,
            invalidation_log: Arc::default(),
            listener: Arc::default(),
            mail_queued: Arc::default(),
        }
    }

    /// Which cached reads are still valid; none before [`Db::listen_for_changes`] has connected.
    pub const fn invalidation_log(&self) -> &Arc<InvalidationLog> {
        &self.invalidation_log
    }

    /// Starts to record the changes of all instances, until the last clone of this handle is dropped.
    pub fn listen_for_changes(&self) {
        if self.listener.get().is_some() {
            return;
        }
        match invalidation_log::listen(&self.url, &self.invalidation_log, &self.generation) {
            // If another thread was faster, this listener is dropped and ends.
            Ok(listener) => drop(self.listener.set(listener)),
            Err(error) => tracing::error!(%error, "cannot listen for changes; credentials are not cached"),
        }
    }

    /// Runs `work` on a pooled connection without a transaction: each statement sees its own snapshot and commits alone.
    /// Rows that credentials depend on must be written in [`Db::transaction`], which invalidates this instance's cache before
    /// it returns.
    ///
    /// # Errors
    /// `unavailable` without a database, otherwise the error of `work`.
    pub async fn read<T: Send + 'static>(
        &self,
        now: DateTime<Utc>,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.with_connection(move |conn, _| work(&mut Tx::new(conn, now))).await
    }

    /// Runs `work` in a transaction: `Ok` commits, `Err` rolls back. A commit that queued an e-mail wakes the mailer.
    ///
    /// # Errors
    /// As [`Db::read`], and if the commit fails.
    pub async fn transaction<T: Send + 'static>(
        &self,
        now: DateTime<Utc>,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let mailer = Arc::clone(&self.mail_queued);
        self.with_connection(move |conn, invalidation_log| {
            let result = transaction(conn, now, |tx| work(tx).map(|value| (value, tx.mail_queued)));
            // Before the caller gets the result, so that its next request doesn't use a cache entry that is now stale.
            invalidation_log.record_own_changes(conn);
            let (value, mail_queued) = result?;
            if mail_queued {
                mailer.notify_one();
            }
            Ok(value)
        })
        .await
    }

    /// Notified after each commit that added an e-mail to the outbox.
    pub fn mail_queued(&self) -> &Notify {
        &self.mail_queued
    }

    async fn with_connection<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut PgConnection, &InvalidationLog) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let connections = self.connections.clone();
        let invalidation_log = Arc::clone(&self.invalidation_log);
        let generation = self.generation.clone();
        let job = move || {
            let mut connection = connections.get().map_err(Error::unavailable)?;
            let result = work(connection.postgres(), &invalidation_log);
            if result.as_ref().is_err_and(|error| error.code() == Code::Unavailable) {
                generation.bump();
            }
            result
        };
        self.blocking_pool.run(job).await
    }

    /// Listens on `channels` with a connection of its own; see [`Listener::spawn`].
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn listen(
        &self,
        channels: &'static [&'static str],
        on_event: impl Fn(Event) + Send + 'static,
    ) -> std::io::Result<Listener> {
        Listener::spawn(&self.url, channels, on_event)
    }
}

/// A connection, usually in a transaction, and the instant for which everything is decided.
pub struct Tx<'a> {
    pub conn: &'a mut PgConnection,
    pub now: DateTime<Utc>,
    mail_queued: bool,
}

impl<'a> Tx<'a> {
    pub const fn new(conn: &'a mut PgConnection, now: DateTime<Utc>) -> Self {
        Self {
            conn,
            now,
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

impl From<DieselError> for Error {
    fn from(error: DieselError) -> Self {
        if is_last_owner_violation(&error) {
            Self::new(Code::LastOwner)
        } else if refers_to_deleted_row(&error) {
            Self::not_found()
        } else if is_transient(&error) {
            Self::unavailable(error)
        } else {
            Self::internal(error)
        }
    }
}

/// Whether a later attempt may succeed: the connection is lost, the server is starting, stopping, read-only or out of
/// space, or a timeout or deadlock ended the statement.
fn is_transient(error: &DieselError) -> bool {
    match error {
        DieselError::BrokenTransactionManager => true,
        DieselError::DatabaseError(kind, info) => match kind {
            DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::SerializationFailure
            | DatabaseErrorKind::ReadOnlyTransaction
            | DatabaseErrorKind::UnableToSendCommand => true,
            // Diesel doesn't expose the SQLSTATE. These are parts of PostgreSQL's own messages, which `lc_messages = C`
            // keeps in English.
            DatabaseErrorKind::Unknown => {
                const PARTS: [&str; 12] = [
                    "connection",
                    "terminating",
                    "canceling statement",
                    "deadlock detected",
                    "starting up",
                    "shutting down",
                    "recovery",
                    "read-only",
                    "too many clients",
                    "No space left",
                    "could not write",
                    "SSL SYSCALL",
                ];
                PARTS.iter().any(|part| info.message().contains(part))
            }
            _ => false,
        },
        _ => false,
    }
}

/// Whether an inserted or updated row refers to a row that was deleted after it was looked up.
fn refers_to_deleted_row(error: &DieselError) -> bool {
    matches!(error, DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, info)
        if info.message().starts_with("insert or update"))
}

/// Whether the commit would leave an organisation without an owner. The operations check this under a lock; the trigger
/// `memberships_owner` is the second safeguard.
fn is_last_owner_violation(error: &DieselError) -> bool {
    matches!(error, DieselError::DatabaseError(_, info) if info.constraint_name() == Some("memberships_owner"))
}

/// The name of the constraint that the statement violated.
pub fn violated_constraint(error: &DieselError) -> Option<&str> {
    match error {
        DieselError::DatabaseError(
            DatabaseErrorKind::UniqueViolation
            | DatabaseErrorKind::ForeignKeyViolation
            | DatabaseErrorKind::CheckViolation,
            info,
        ) => info.constraint_name(),
        _ => None,
    }
}
