//! What the pool holds: connections that give up in bounded time and know when to be distrusted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use diesel::pg::PgConnection;
use diesel::r2d2::R2D2Connection as _;
use secrecy::{ExposeSecret as _, SecretString};

/// A black hole must not hold a connection for ever: libpq's own limits, in seconds and milliseconds.
const CONNECT_OPTIONS: [(&str, &str); 6] = [
    ("connect_timeout", "2"),
    ("tcp_user_timeout", "2500"),
    ("keepalives_idle", "5"),
    ("keepalives_interval", "2"),
    ("keepalives_count", "2"),
    ("application_name", "keyward"),
];

/// The server's limits; a statement that needs longer is a fault, not work. Every statement finds its rows by an index
/// whatever its parameters are, so that its plan is made once and not each time: for a list of keys that takes four times
/// as long as the list itself.
const SESSION_SETTINGS: &str = "SET statement_timeout = '5s'; SET lock_timeout = '3s'; \
    SET idle_in_transaction_session_timeout = '10s'; SET timezone = 'UTC'; SET lc_messages = 'C'; \
    SET plan_cache_mode = 'force_generic_plan'";

/// A connection that nobody used for so long is tested first.
const IDLE: Duration = Duration::from_secs(1);

/// A reason to test every connection before it is used again: one of them turned out to be lost, so the others probably
/// are. After a restart of PostgreSQL a single request notices, not one per connection.
#[derive(Clone, Debug, Default)]
pub struct PoolGeneration(Arc<AtomicU64>);

impl PoolGeneration {
    /// There is a new one.
    pub fn raise(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    fn number(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Makes connections.
#[derive(Debug)]
pub struct Connections {
    url: SecretString,
    suspicion: PoolGeneration,
}

impl Connections {
    pub fn new(url: &SecretString, suspicion: PoolGeneration) -> Self {
        Self {
            url: SecretString::from(with_options(url.expose_secret(), &CONNECT_OPTIONS)),
            suspicion,
        }
    }
}

/// A connection of the pool.
pub struct Connection {
    postgres: PgConnection,
    /// The suspicion up to which this connection is known to be good.
    trusted: u64,
    used_at: Instant,
}

impl Connection {
    /// The connection itself.
    pub const fn postgres(&mut self) -> &mut PgConnection {
        &mut self.postgres
    }
}

impl r2d2::ManageConnection for Connections {
    type Connection = Connection;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Connection, Self::Error> {
        let trusted = self.suspicion.number();
        let mut postgres =
            PgConnection::establish(self.url.expose_secret()).map_err(diesel::r2d2::Error::ConnectionError)?;
        postgres
            .batch_execute(SESSION_SETTINGS)
            .map_err(diesel::r2d2::Error::QueryError)?;
        super::invalidation_log::hear_own(&mut postgres);
        Ok(Connection {
            postgres,
            trusted,
            used_at: Instant::now(),
        })
    }

    fn is_valid(&self, connection: &mut Connection) -> Result<(), Self::Error> {
        let suspicion = self.suspicion.number();
        if connection.trusted < suspicion || connection.used_at.elapsed() > IDLE {
            connection.postgres.ping().map_err(diesel::r2d2::Error::QueryError)?;
            connection.trusted = suspicion;
        }
        Ok(())
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.used_at = Instant::now();
        std::thread::panicking() || connection.postgres.is_broken()
    }
}

/// Logs why no connection could be made; without the URL, which holds a password.
#[derive(Debug)]
pub struct LogErrors;

impl r2d2::HandleError<diesel::r2d2::Error> for LogErrors {
    fn handle_error(&self, error: diesel::r2d2::Error) {
        tracing::warn!(%error, "no connection to the database");
    }
}

/// Adds the options a URL (or a libpq keyword string) does not set itself.
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
