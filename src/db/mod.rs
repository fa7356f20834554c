//! The database: a bounded pool whose work never runs on the async threads.
//!
//! As many threads as there are connections take the work in the order it comes, so that whoever has a turn finds a
//! connection at once. Waiting is bounded; what cannot be had in time is a 503.

mod invalidation_log;
pub mod listener;
pub mod migrations;
mod pool;
#[expect(missing_docs, reason = "the migrations say what each column is")]
pub mod schema;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::connection::TransactionManager;
use diesel::pg::PgConnection;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use secrecy::SecretString;
use tokio::sync::Notify;

use crate::blocking_pool::BlockingPool;
use crate::error::Error;
use listener::{Event, Listener};
use pool::{Connections, PoolGeneration};

pub use invalidation_log::{Freshness, InvalidationLog, ReadVersion};

/// Longest wait for a turn, and then for a connection.
const PATIENCE: Duration = Duration::from_secs(2);

/// The door to PostgreSQL. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    pool: r2d2::Pool<Connections>,
    crew: Arc<BlockingPool>,
    url: SecretString,
    suspicion: PoolGeneration,
    changes: Arc<InvalidationLog>,
    listener: Arc<OnceLock<Listener>>,
    mail_queued: Arc<Notify>,
}

impl Db {
    /// A pool of `size` connections to `url`. Connects to nothing yet: the service may start before its database.
    pub fn new(url: &SecretString, size: u32) -> Self {
        let suspicion = PoolGeneration::default();
        let pool = r2d2::Pool::builder()
            .max_size(size)
            .min_idle(Some(0))
            .connection_timeout(PATIENCE)
            .idle_timeout(Some(Duration::from_mins(10)))
            .test_on_check_out(true)
            .error_handler(Box::new(pool::LogErrors))
            .build_unchecked(Connections::new(url, suspicion.clone()));
        Self {
            pool,
            crew: Arc::new(BlockingPool::new("database", size as usize, PATIENCE)),
            url: url.clone(),
            suspicion,
            changes: Arc::default(),
            listener: Arc::default(),
            mail_queued: Arc::default(),
        }
    }

    /// What was changed, as far as memory depends on it; complete only once [`Db::follow_changes`] was called.
    pub fn changes(&self) -> &Arc<InvalidationLog> {
        &self.changes
    }

    /// Begins to listen for changes, those of other instances included, for as long as this door is open.
    pub fn follow_changes(&self) {
        if self.listener.get().is_some() {
            return;
        }
        match invalidation_log::listen(&self.url, &self.changes, &self.suspicion) {
            // Of two that were started at once, one is dropped, and ends.
            Ok(listener) => drop(self.listener.set(listener)),
            Err(error) => tracing::error!(%error, "cannot listen for changes: nothing will be remembered"),
        }
    }

    /// Runs `work` on a pooled connection, outside a transaction: for reads of one statement. A write here would reach
    /// the credential cache late, so whatever credentials depend on is changed in [`Db::transaction`].
    ///
    /// # Errors
    /// `unavailable` without a database, and what `work` fails with.
    pub async fn read<T: Send + 'static>(
        &self,
        now: DateTime<Utc>,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.with_connection(move |conn, _| work(&mut Tx::new(conn, now))).await
    }

    /// Runs `work` in one transaction: committed when it succeeds, rolled back when it fails. A commit that queued mail
    /// wakes the mailer.
    ///
    /// # Errors
    /// As [`Db::read`]; also when the commit fails.
    pub async fn transaction<T: Send + 'static>(
        &self,
        now: DateTime<Utc>,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let mailer = Arc::clone(&self.mail_queued);
        self.with_connection(move |conn, invalidation_log| {
            let result = transaction(conn, now, |tx| work(tx).map(|value| (value, tx.mail_queued)));
            // Applied before the caller sees the result, so that its next request finds nothing stale here.
            invalidation_log.take_in(conn);
            let (value, mail_queued) = result?;
            if mail_queued {
                mailer.notify_one();
            }
            Ok(value)
        })
        .await
    }

    /// Notified after each commit that put mail into the outbox.
    pub fn mail_queued(&self) -> &Notify {
        &self.mail_queued
    }

    async fn with_connection<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut PgConnection, &InvalidationLog) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (pool, changes, suspicion) = (self.pool.clone(), Arc::clone(&self.changes), self.suspicion.clone());
        let work = move || {
            let mut connection = pool.get().map_err(Error::unavailable)?;
            let result = work(connection.postgres(), &changes);
            if result
                .as_ref()
                .is_err_and(|error| error.code() == crate::error::Code::Unavailable)
            {
                suspicion.raise();
            }
            result
        };
        self.crew.run(work).await
    }

    /// Listens on `channels`, on a connection beside the pool.
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

    /// Connections in use and at most, for the metrics.
    pub fn usage(&self) -> (u32, u32) {
        let state = self.pool.state();
        (state.connections - state.idle_connections, self.pool.max_size())
    }
}

/// A unit of database work: the connection, and the instant at which everything in it is decided.
pub struct Tx<'a> {
    pub conn: &'a mut PgConnection,
    pub now: DateTime<Utc>,
    /// Whether the commit has to wake the mailer.
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

    /// Records that the outbox has a new row.
    pub const fn queue_mail(&mut self) {
        self.mail_queued = true;
    }
}

/// Runs `work` in one transaction on an open connection.
///
/// # Errors
/// What `work` fails with, and a failing BEGIN or COMMIT.
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
            // The first error is the one that matters; a connection whose rollback fails is dropped by the pool.
            let _ = Manager::rollback_transaction(conn);
            Err(error)
        }
    }
}

impl From<DieselError> for Error {
    fn from(error: DieselError) -> Self {
        if takes_last_owner(&error) {
            Self::new(crate::error::Code::LastOwner)
        } else if refers_to_nothing(&error) {
            Self::not_found()
        } else if is_transient(&error) {
            Self::unavailable(error)
        } else {
            Self::internal(error)
        }
    }
}

/// Whether another try, later, may succeed: the connection is gone, the server is starting, stopping, read-only or out of
/// room, or a timeout or deadlock ended the statement.
fn is_transient(error: &DieselError) -> bool {
    match error {
        DieselError::BrokenTransactionManager => true,
        DieselError::DatabaseError(kind, info) => match kind {
            DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::SerializationFailure
            | DatabaseErrorKind::ReadOnlyTransaction
            | DatabaseErrorKind::UnableToSendCommand => true,
            // Diesel gives no SQLSTATE; these texts are PostgreSQL's own and are not translated under `lc_messages=C`.
            DatabaseErrorKind::Unknown => {
                const SIGNS: [&str; 12] = [
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
                SIGNS.iter().any(|sign| info.message().contains(sign))
            }
            _ => false,
        },
        _ => false,
    }
}

/// Whether a row refers to one that was there when it was looked for, and has been deleted since.
fn refers_to_nothing(error: &DieselError) -> bool {
    matches!(error, DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, info)
        if info.message().starts_with("insert or update"))
}

/// Whether the commit would have left an organisation without owner: the trigger's word, the second lock behind that of the
/// operations.
fn takes_last_owner(error: &DieselError) -> bool {
    matches!(error, DieselError::DatabaseError(_, info) if info.constraint_name() == Some("memberships_owner"))
}

/// The name of the constraint that a statement broke, if it broke one.
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
