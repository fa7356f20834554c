//! PostgreSQL: a bounded connection pool, transactions, LISTEN, migrations.
//!
//! diesel is synchronous, so statements run on a [`BlockingPool`] with one thread per connection: a job that has
//! started finds a free connection without waiting. Both waits are bounded; a request that gets neither thread nor
//! connection in time fails with 503.
//!
//! # Order of locks
//!
//! Every transaction locks in this order, so that no two wait for each other in a circle. An insert counts as a lock on the
//! rows that it refers to, but only against their deletion.
//!
//! 1. the advisory lock of the `Idempotency-Key`, which never waits
//! 2. organisations, in the order of their ids: whatever adds, changes or removes a member
//! 3. accounts, in the order of their ids and all in one statement (`users::lock_all`): the caller's, and each that the change
//!    depends on. Whatever changes an account, or a row of an account that is below in this list, locks the account first;
//!    that includes the mailed links and the refresh tokens, whose requests have no caller
//! 4. memberships
//! 5. sessions and API keys, several in the order of their ids
//! 6. registrations, changes of e-mail address, invitations, requests to join
//! 7. one-time tokens
//! 8. notifications
//! 9. what counts wrong passwords (`auth/password/throttle.rs`) and e-mails (`notifications/email/limit.rs`)
//! 10. `idempotency_keys`; rows of `mail_outbox` and `audit_log` are only inserted
//!
//! The changes of a caller get the first three from `auth::Caller::transaction`. Background work takes rows that are locked
//! already at its next run (`SKIP LOCKED`), or locks rows of one table only.

pub mod deployment;
mod error;
mod invalidation_log;
pub mod listener;
pub mod migrations;
mod pool;
pub mod schema;
pub mod sweep;
pub mod tls;
mod tx;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::{QueryableByName, RunQueryDsl as _};
use secrecy::SecretString;
use tokio::sync::Notify;

use self::error::is_conflict;
use self::listener::{Event, Listener};
use self::migrations::Schema;
use self::pool::{Connection, ConnectionManager, OwnSessions, PoolGeneration};
use crate::blocking_pool::BlockingPool;
use crate::error::{Code, Error};

pub use error::violated_constraint;
pub use invalidation_log::{Freshness, InvalidationLog, ReadVersion};
pub use tx::{Tx, transaction};

/// Maximum time a job waits for a thread, and then for a connection.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a transaction is tried that conflicts with others. The order of locks makes conflicts rare.
const MAX_ATTEMPTS: u32 = 3;
/// The other transaction gets the locks first: at once, the same two could conflict again. PostgreSQL ends one transaction of
/// a conflict and not all of them, so that the delay need not be random.
const RETRY_DELAY: Duration = Duration::from_millis(50);
/// Statements that may wait for a thread. With 10 threads and 1 ms each, as many finish within the queue timeout ten times over.
const MAX_QUEUED: usize = 2_000;
/// Maximum time from the call to its result. It is longer than both waits and the longest statement; a transaction that waits
/// for several locks, or a server that doesn't respond although its connections stay open, can exceed it.
const JOB_TIMEOUT: Duration = Duration::from_secs(9);
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_mins(10);
/// How many sets of connections may wait for a server that doesn't respond. Each holds `KEYWARD_DB_POOL_SIZE` threads.
const MAX_ABANDONED: usize = 3;

/// A handle of the database. Clones share the pool.
#[derive(Clone)]
pub struct Db {
    pools: Arc<RwLock<Pools>>,
    url: SecretString,
    /// Set behind a pooler; see [`Db::with_listen_url`].
    listen_url: Option<SecretString>,
    generation: PoolGeneration,
    own_sessions: OwnSessions,
    invalidation_log: Arc<InvalidationLog>,
    listener: Arc<OnceLock<Listener>>,
    mail_queued: Arc<Notify>,
    schema_matched: Arc<AtomicBool>,
    rate_limits: bool,
}

/// The pool in use, and those whose jobs never got a response and may still wait for one.
struct Pools {
    max_connections: u32,
    current: Arc<Pool>,
    abandoned: Vec<Weak<Pool>>,
}

/// For the metrics.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionCounts {
    pub in_use: u32,
    pub idle: u32,
    /// Pools that wait for a server that doesn't respond.
    pub abandoned_pools: usize,
}

/// As many threads as connections.
struct Pool {
    connections: r2d2::Pool<ConnectionManager>,
    threads: BlockingPool,
    created_at: Instant,
    /// Milliseconds from `created_at` to the end of the last job that had a connection.
    responded_after: AtomicU64,
}

impl Db {
    /// Doesn't connect: the service may start before its database.
    pub fn new(url: &SecretString, max_connections: u32) -> Self {
        let (generation, own_sessions) = (PoolGeneration::default(), OwnSessions::default());
        let manager = ConnectionManager::new(url, generation.clone(), own_sessions.clone());
        Self {
            pools: Arc::new(RwLock::new(Pools {
                max_connections,
                current: Arc::new(Pool::new(manager, max_connections)),
                abandoned: Vec::new(),
            })),
            url: url.clone(),
            listen_url: None,
            generation,
            own_sessions,
            invalidation_log: Arc::default(),
            listener: Arc::default(),
            mail_queued: Arc::default(),
            schema_matched: Arc::default(),
            rate_limits: true,
        }
    }

    pub fn connection_counts(&self) -> ConnectionCounts {
        let pools = self.pools.read().unwrap_or_else(PoisonError::into_inner);
        let state = pools.current.connections.state();
        ConnectionCounts {
            in_use: state.connections.saturating_sub(state.idle_connections),
            idle: state.idle_connections,
            abandoned_pools: pools.abandoned.iter().filter(|pool| pool.strong_count() > 0).count(),
        }
    }

    /// The same handle, with [`Tx::rate_limits`] for its transactions.
    #[must_use]
    pub const fn with_rate_limits(mut self, enabled: bool) -> Self {
        self.rate_limits = enabled;
        self
    }

    /// The same handle, which listens at `url` if there is one: a direct way to the server, while the pool connects through a
    /// pooler.
    #[must_use]
    pub fn with_listen_url(mut self, url: Option<&SecretString>) -> Self {
        self.listen_url = url.cloned();
        self
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
        let log = Arc::clone(&self.invalidation_log);
        // Notifications that arrive at the listening URL say nothing about the connections of the pool.
        let own_sessions = self.listen_url.is_none().then(|| self.own_sessions.clone());
        let on_event = invalidation_log::recorder(log, self.generation.clone(), own_sessions);
        match self.listen(invalidation_log::CHANNELS, on_event) {
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
        self.with_connection(move |connection, _| connection.run(|conn| work(&mut Tx::new(conn, now))))
            .await
    }

    /// Runs `work` in a transaction: `Ok` commits, `Err` rolls back. A commit that queued an e-mail wakes the mailer.
    ///
    /// When PostgreSQL ends the transaction in favour of another one (see [`is_conflict`]), `work` runs again. So it must have
    /// no effect outside of the transaction.
    ///
    /// # Errors
    /// As [`Db::read`], and if the commit fails.
    pub async fn transaction<T: Send + 'static>(
        &self,
        now: DateTime<Utc>,
        work: impl Fn(&mut Tx<'_>) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let work = Arc::new(work);
        for attempt in 1..MAX_ATTEMPTS {
            match self.attempt(now, Arc::clone(&work)).await {
                Err(error) if is_conflict(&error) => {
                    tracing::warn!(attempt, "a transaction conflicted with another one and is repeated");
                    tokio::time::sleep(RETRY_DELAY).await;
                }
                result => return result,
            }
        }
        self.attempt(now, work).await
    }

    async fn attempt<T: Send + 'static>(
        &self,
        now: DateTime<Utc>,
        work: Arc<impl Fn(&mut Tx<'_>) -> Result<T, Error> + Send + Sync + 'static>,
    ) -> Result<T, Error> {
        let (mailer, rate_limits) = (Arc::clone(&self.mail_queued), self.rate_limits);
        self.with_connection(move |connection, invalidation_log| {
            let (is_pooled, mut has_written) = (!connection.has_own_session(), true);
            let result = connection.run(|conn| {
                let result = transaction(conn, now, |tx| {
                    tx.rate_limits = rate_limits;
                    work(tx).map(|value| (value, tx.mail_queued))
                });
                // Before the caller gets the result, so that its next request doesn't use a cache entry that is now stale.
                invalidation_log.record_own_changes(conn);
                if is_pooled {
                    has_written = pool::has_written(conn);
                }
                result
            });
            if is_pooled && has_written {
                // Its own changes were not recorded one by one.
                invalidation_log.invalidate_all();
            }
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
        work: impl FnOnce(&mut Connection, &InvalidationLog) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let pool = Arc::clone(&self.pools.read().unwrap_or_else(PoisonError::into_inner).current);
        let invalidation_log = Arc::clone(&self.invalidation_log);
        let generation = self.generation.clone();
        let job_pool = Arc::clone(&pool);
        let job = move || {
            let mut connection = job_pool.connections.get().map_err(Error::unavailable)?;
            let result = work(&mut connection, &invalidation_log);
            job_pool.record_response();
            let is_suspect = |error: &Error| error.code() == Code::Unavailable && !is_conflict(error);
            if result.as_ref().is_err_and(is_suspect) {
                generation.bump();
            }
            result
        };
        let began_at = Instant::now();
        match tokio::time::timeout(JOB_TIMEOUT, pool.threads.run(job)).await {
            Ok(result) => result,
            Err(elapsed) => {
                if !pool.has_responded_since(began_at) {
                    self.abandon(&pool);
                }
                Err(Error::unavailable(elapsed))
            }
        }
    }

    /// Replaces a pool that has a connection on which the server doesn't respond: a thread may wait there for ever, while new
    /// connections can work again.
    fn abandon(&self, pool: &Arc<Pool>) {
        let mut pools = self.pools.write().unwrap_or_else(PoisonError::into_inner);
        pools.abandoned.retain(|pool| pool.strong_count() > 0);
        if Arc::ptr_eq(&pools.current, pool) && pools.abandoned.len() < MAX_ABANDONED {
            metrics::counter!("keyward_db_abandoned_pools_total").increment(1);
            tracing::warn!("the database does not respond; trying new connections");
            let manager = ConnectionManager::new(&self.url, self.generation.clone(), self.own_sessions.clone());
            pools.current = Arc::new(Pool::new(manager, pools.max_connections));
            pools.abandoned.push(Arc::downgrade(pool));
        }
    }

    /// Compares the schema of the database with this program.
    ///
    /// # Errors
    /// As [`Db::read`].
    pub async fn schema(&self, now: DateTime<Utc>) -> Result<Schema, Error> {
        let schema = self.read(now, |tx| migrations::compare(tx.conn)).await?;
        if schema == Schema::Current {
            self.schema_matched.store(true, Ordering::Relaxed);
        }
        Ok(schema)
    }

    /// Whether the database accepts no changes: a standby, or `default_transaction_read_only`.
    ///
    /// # Errors
    /// As [`Db::read`].
    pub async fn is_read_only(&self, now: DateTime<Utc>) -> Result<bool, Error> {
        #[derive(QueryableByName)]
        struct ReadOnly {
            #[diesel(sql_type = diesel::sql_types::Bool)]
            read_only: bool,
        }
        let query = "SELECT current_setting('transaction_read_only')::bool AS read_only";
        let read = self.read(now, move |tx| {
            Ok(diesel::sql_query(query).get_result::<ReadOnly>(tx.conn)?)
        });
        Ok(read.await?.read_only)
    }

    /// Whether the schema was that of this program at some time since the start. A later migration by a newer version of the
    /// program is one that both can work with; with a schema that was newer from the start, that is not known.
    pub fn schema_has_matched(&self) -> bool {
        self.schema_matched.load(Ordering::Relaxed)
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
        Listener::spawn(self.listen_url.as_ref(), &self.url, channels, on_event)
    }
}

impl Pool {
    fn new(manager: ConnectionManager, max_connections: u32) -> Self {
        let connections = r2d2::Pool::builder()
            .max_size(max_connections)
            .min_idle(Some(0))
            .connection_timeout(QUEUE_TIMEOUT)
            .idle_timeout(Some(IDLE_CONNECTION_TIMEOUT))
            .test_on_check_out(true)
            .error_handler(Box::new(pool::LogErrors))
            .build_unchecked(manager);
        Self {
            connections,
            threads: BlockingPool::new("database", max_connections as usize, MAX_QUEUED, QUEUE_TIMEOUT),
            created_at: Instant::now(),
            responded_after: AtomicU64::new(0),
        }
    }

    fn record_response(&self) {
        self.responded_after
            .store(self.milliseconds_until(Instant::now()), Ordering::Relaxed);
    }

    fn has_responded_since(&self, instant: Instant) -> bool {
        self.responded_after.load(Ordering::Relaxed) > self.milliseconds_until(instant)
    }

    fn milliseconds_until(&self, instant: Instant) -> u64 {
        u64::try_from(instant.duration_since(self.created_at).as_millis()).unwrap_or(u64::MAX)
    }
}
