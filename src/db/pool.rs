//! The pooled connections: timeouts, session settings, and when a connection is tested before use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::{CacheSize, SimpleConnection as _, TransactionManager as _};
use diesel::pg::PgConnection;
use diesel::r2d2::R2D2Connection as _;
use diesel::{Connection as _, QueryResult, RunQueryDsl as _};
use secrecy::{ExposeSecret as _, SecretString};

use crate::error::Error;

/// libpq has no timeouts by default: without these, a server that stops responding would block a connection for ever.
/// In seconds, `tcp_user_timeout` in milliseconds.
pub const CONNECT_OPTIONS: [(&str, &str); 6] = [
    ("connect_timeout", "2"),
    ("tcp_user_timeout", "2500"),
    ("keepalives_idle", "5"),
    ("keepalives_interval", "2"),
    ("keepalives_count", "2"),
    ("application_name", "keyward"),
];

/// Only settings that every role may change: managed databases give no superuser.
///
/// `plan_cache_mode`: every statement finds its rows by an index whatever its parameters are, so one generic plan per
/// statement is enough. By default, PostgreSQL plans the list of a user's API keys anew for each execution once another
/// user has 60,000 keys: 270 instead of 80 µs of its CPU.
const SETTINGS: [(&str, &str); 5] = [
    ("statement_timeout", "5s"),
    ("lock_timeout", "3s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("timezone", "UTC"),
    ("plan_cache_mode", "force_generic_plan"),
];

/// `command` is `SET` for the session or `SET LOCAL` for the transaction.
fn set_all(command: &str) -> String {
    SETTINGS
        .map(|(name, value)| format!("{command} {name} = '{value}';"))
        .concat()
}

/// A connection that was idle for longer is tested before use. A test before every use would add a round trip of 0.1 ms,
/// half of what the statement of `GET /me` takes (pgbench, one client).
const TEST_AFTER_IDLE: Duration = Duration::from_secs(1);

/// Counts the times that a connection turned out to be lost. The other connections are then probably lost too, so each
/// one from an earlier generation is tested before its next use: after a restart of PostgreSQL one request fails, not
/// one per connection.
#[derive(Clone, Debug, Default)]
pub struct PoolGeneration(Arc<AtomicU64>);

impl PoolGeneration {
    pub fn bump(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn current(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether each connection has a server session of its own. Behind a pooler such as `PgBouncer` in transaction mode it
/// has not: each transaction can run in another session, so that neither settings nor prepared statements may outlive it.
/// Assumed only once the listener has seen that notifications arrive between transactions, which such a pooler prevents.
#[derive(Clone, Debug, Default)]
pub struct OwnSessions(Arc<AtomicBool>);

impl OwnSessions {
    pub fn set(&self, are_own: bool) {
        self.0.store(are_own, Ordering::Relaxed);
    }

    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Makes and tests connections for r2d2.
#[derive(Debug)]
pub struct ConnectionManager {
    url: SecretString,
    generation: PoolGeneration,
    own_sessions: OwnSessions,
}

impl ConnectionManager {
    pub fn new(url: &SecretString, generation: PoolGeneration, own_sessions: OwnSessions) -> Self {
        Self {
            url: SecretString::from(with_options(url.expose_secret(), &CONNECT_OPTIONS)),
            generation,
            own_sessions,
        }
    }
}

pub struct Connection {
    postgres: PgConnection,
    /// The generation in which this connection was last known to work.
    generation: u64,
    last_used_at: Instant,
    /// Whether the settings are those of the session, and statements stay prepared.
    has_own_session: bool,
}

impl Connection {
    /// Runs `work`: with a session of its own, each statement of `work` is a transaction; without one, they share one
    /// transaction, which has the settings. It is committed after an error too, so that what succeeded before remains.
    pub fn run<T>(&mut self, work: impl FnOnce(&mut PgConnection) -> Result<T, Error>) -> Result<T, Error> {
        type Manager = <PgConnection as diesel::Connection>::TransactionManager;
        if self.has_own_session {
            return work(&mut self.postgres);
        }
        Manager::begin_transaction(&mut self.postgres)?;
        // If this fails, the transaction stays open, and the pool drops the connection.
        self.postgres.batch_execute(&set_all("SET LOCAL"))?;
        let result = work(&mut self.postgres);
        let committed = Manager::commit_transaction(&mut self.postgres);
        result.and_then(|value| committed.map(|()| value).map_err(Error::from))
    }

    pub const fn has_own_session(&self) -> bool {
        self.has_own_session
    }

    fn use_own_session(&mut self) -> QueryResult<()> {
        self.postgres.batch_execute(&set_all("SET"))?;
        listen_to_own_changes(&mut self.postgres);
        self.postgres.set_prepared_statement_cache_size(CacheSize::Unbounded);
        self.has_own_session = true;
        Ok(())
    }
}

impl r2d2::ManageConnection for ConnectionManager {
    type Connection = Connection;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Connection, Self::Error> {
        let generation = self.generation.current();
        let mut postgres =
            PgConnection::establish(self.url.expose_secret()).map_err(diesel::r2d2::Error::ConnectionError)?;
        postgres.set_prepared_statement_cache_size(CacheSize::Disabled);
        Ok(Connection {
            postgres,
            generation,
            last_used_at: Instant::now(),
            has_own_session: false,
        })
    }

    fn is_valid(&self, connection: &mut Connection) -> Result<(), Self::Error> {
        let generation = self.generation.current();
        if connection.generation < generation || connection.last_used_at.elapsed() > TEST_AFTER_IDLE {
            // A simple query: it needs no prepared statement.
            connection
                .postgres
                .batch_execute("SELECT 1")
                .map_err(diesel::r2d2::Error::QueryError)?;
            connection.generation = generation;
        }
        match (connection.has_own_session, self.own_sessions.get()) {
            (false, true) => connection.use_own_session().map_err(diesel::r2d2::Error::QueryError),
            (true, false) => Err(diesel::r2d2::Error::ConnectionError(
                diesel::ConnectionError::BadConnection("the connection has lost its session".to_owned()),
            )),
            _ => Ok(()),
        }
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.last_used_at = Instant::now();
        std::thread::panicking() || connection.postgres.is_broken()
    }
}

/// Subscribes a pooled connection to the notifications of its own changes. On a read-only server the LISTEN fails; the
/// connection can't make changes there.
fn listen_to_own_changes(connection: &mut PgConnection) {
    let listen = "DO $$ BEGIN EXECUTE format('LISTEN %I', 'keyward_' || pg_backend_pid()); END $$";
    if let Err(error) = connection.batch_execute(listen) {
        tracing::debug!(%error, "cannot listen to the changes of this connection");
    }
}

/// Whether the transaction has changed or locked a row. Background work often finds nothing to do.
pub fn has_written(connection: &mut PgConnection) -> bool {
    let query = diesel::select(diesel::dsl::sql::<diesel::sql_types::Bool>(
        "pg_current_xact_id_if_assigned() IS NOT NULL",
    ));
    query.get_result(connection).unwrap_or_else(|error| {
        tracing::debug!(%error, "cannot tell whether the transaction has written something");
        true
    })
}

/// Logs failed attempts to connect. libpq's messages name host and user, but never the password.
#[derive(Debug)]
pub struct LogErrors;

impl r2d2::HandleError<diesel::r2d2::Error> for LogErrors {
    fn handle_error(&self, error: diesel::r2d2::Error) {
        tracing::warn!(%error, "cannot connect to the database");
    }
}

/// Adds `options` to a URL or libpq keyword string, except for those that it sets itself.
pub fn with_options(url: &str, options: &[(&str, &str)]) -> String {
    let mut url = url.to_owned();
    let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
    for (name, value) in options {
        if url.contains(&format!("{name}=")) {
            continue;
        }
        let separator = if !is_url {
            ' '
        } else if url.contains('?') {
            '&'
        } else {
            '?'
        };
        url.extend([separator.to_string().as_str(), name, "=", value]);
    }
    url
}
