//! The pooled connections: timeouts, session settings, and when a connection is tested before use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use diesel::pg::PgConnection;
use diesel::r2d2::R2D2Connection as _;
use secrecy::{ExposeSecret as _, SecretString};

/// libpq has no timeouts by default: without these, a server that stops responding would block a connection for ever.
/// In seconds, `tcp_user_timeout` in milliseconds.
const CONNECT_OPTIONS: [(&str, &str); 6] = [
    ("connect_timeout", "2"),
    ("tcp_user_timeout", "2500"),
    ("keepalives_idle", "5"),
    ("keepalives_interval", "2"),
    ("keepalives_count", "2"),
    ("application_name", "keyward"),
];

/// Every statement finds its rows by an index whatever its parameters are, so one generic plan per statement is enough.
/// By default, PostgreSQL plans the list of a user's API keys anew for each execution once another user has 60,000 keys: 270
/// instead of 80 µs of its CPU. The messages stay in English because `is_transient` in `db` compares them.
const SESSION_SETTINGS: &str = "SET statement_timeout = '5s'; SET lock_timeout = '3s'; \
    SET idle_in_transaction_session_timeout = '10s'; SET timezone = 'UTC'; SET lc_messages = 'C'; \
    SET plan_cache_mode = 'force_generic_plan'";

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

/// Makes and tests connections for r2d2.
#[derive(Debug)]
pub struct ConnectionManager {
    url: SecretString,
    generation: PoolGeneration,
}

impl ConnectionManager {
    pub fn new(url: &SecretString, generation: PoolGeneration) -> Self {
        Self {
            url: SecretString::from(with_options(url.expose_secret(), &CONNECT_OPTIONS)),
            generation,
        }
    }
}

pub struct Connection {
    postgres: PgConnection,
    /// The generation in which this connection was last known to work.
    generation: u64,
    last_used_at: Instant,
}

impl Connection {
    pub const fn postgres(&mut self) -> &mut PgConnection {
        &mut self.postgres
    }
}

impl r2d2::ManageConnection for ConnectionManager {
    type Connection = Connection;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Connection, Self::Error> {
        let generation = self.generation.current();
        let mut postgres =
            PgConnection::establish(self.url.expose_secret()).map_err(diesel::r2d2::Error::ConnectionError)?;
        postgres
            .batch_execute(SESSION_SETTINGS)
            .map_err(diesel::r2d2::Error::QueryError)?;
        listen_to_own_changes(&mut postgres);
        Ok(Connection {
            postgres,
            generation,
            last_used_at: Instant::now(),
        })
    }

    fn is_valid(&self, connection: &mut Connection) -> Result<(), Self::Error> {
        let generation = self.generation.current();
        if connection.generation < generation || connection.last_used_at.elapsed() > TEST_AFTER_IDLE {
            connection.postgres.ping().map_err(diesel::r2d2::Error::QueryError)?;
            connection.generation = generation;
        }
        Ok(())
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
