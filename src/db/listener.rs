//! LISTEN: hears what other instances say through PostgreSQL, on a connection and a thread of its own.
//!
//! What is said while nobody listens is lost. So a listener says when it begins to hear ([`Event::Connected`]: anything
//! may have happened before) and when it may have gone deaf ([`Event::Disconnected`]: nothing that was learnt by
//! listening may be relied on). It is believed only after it has heard itself, for there are poolers that take LISTEN
//! and deliver nothing. A connection that dies silently is found out by a heartbeat.
//!
//! Diesel does not show the socket, so the thread cannot sleep until there is something to read; it naps instead. One
//! look is one `recv` that finds nothing, so the naps cost less than a thousandth of a core.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::pg::PgConnection;
use diesel::{Connection as _, QueryResult};
use secrecy::{ExposeSecret as _, SecretString};

use super::pool::with_options;

/// How long to nap between two looks at the connection.
const NAP: Duration = Duration::from_millis(20);
/// How often to ask whether the server is still there.
const HEARTBEAT: Duration = Duration::from_millis(400);
/// Within what time a listener must hear itself.
const HELLO_PATIENCE: Duration = Duration::from_secs(1);
/// How long to wait before the next try to connect.
const RETRY: Duration = Duration::from_millis(200);

/// Limits that are stricter than those of the pool: what was sent and is not acknowledged within half a second was sent
/// into a black hole.
const CONNECT_OPTIONS: [(&str, &str); 3] = [
    ("connect_timeout", "2"),
    ("tcp_user_timeout", "500"),
    ("application_name", "keyward-listener"),
];

const SESSION_SETTINGS: &str = "SET statement_timeout = '500ms'; SET lock_timeout = '500ms'; SET lc_messages = 'C'";

/// What a listener tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// From now on everything is heard.
    Connected,
    /// From now on nothing is, and the last moments may be missing already.
    Disconnected,
    /// The server was there just now, and all that was said before it was asked has been told.
    Alive {
        /// When it was asked.
        asked_at: Instant,
    },
    /// Somebody said something.
    Notified {
        /// Where.
        channel: String,
        /// What.
        payload: String,
    },
}

/// A listening thread. Dropping it ends the thread, within a nap unless it is just connecting.
#[derive(Debug)]
pub struct Listener {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Listens on `channels` (names of our own: they are not escaped), for ever, reconnecting as needed. `on_event` runs
    /// on the listening thread and should be quick.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn spawn(
        url: &SecretString,
        channels: &'static [&'static str],
        on_event: impl Fn(Event) + Send + 'static,
    ) -> std::io::Result<Self> {
        let url = SecretString::from(with_options(url.expose_secret(), &CONNECT_OPTIONS));
        let (stop, stopped) = channel();
        let thread = Builder::new().name("listener".to_owned()).spawn(move || {
            Ear {
                url,
                channels,
                on_event,
                stopped,
            }
            .listen();
        })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Ends the thread and waits for its end; blocks for at most the time of a try to connect.
    pub fn stop(mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // It can only have panicked, which is in the log already.
            let _ = thread.join();
        }
    }
}

/// Why listening came to an end.
enum End {
    /// The listener was dropped.
    Stopped,
    /// The connection failed.
    Failed(String),
}

impl<E: std::error::Error> From<E> for End {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What the thread owns.
struct Ear<F> {
    url: SecretString,
    channels: &'static [&'static str],
    on_event: F,
    /// Nothing is ever sent: it is disconnected when the listener is dropped.
    stopped: Receiver<()>,
}

impl<F: Fn(Event)> Ear<F> {
    fn listen(&self) {
        let mut complained = false;
        loop {
            let outcome = self.connect().and_then(|mut connection| {
                (self.on_event)(Event::Connected);
                tracing::debug!(channels = ?self.channels, "listening");
                complained = false;
                let end = self.hear(&mut connection);
                (self.on_event)(Event::Disconnected);
                end
            });
            match outcome {
                Err(End::Failed(reason)) if !complained => {
                    complained = true;
                    tracing::warn!(%reason, "cannot listen to the database");
                }
                Err(End::Failed(_)) => {}
                Ok(()) | Err(End::Stopped) => return,
            }
            if self.nap(RETRY).is_err() {
                return;
            }
        }
    }

    /// A connection that has heard itself.
    fn connect(&self) -> Result<PgConnection, End> {
        let mut connection = PgConnection::establish(self.url.expose_secret())?;
        connection.batch_execute(SESSION_SETTINGS)?;
        for channel in self.channels {
            connection.batch_execute(&format!("LISTEN {channel}"))?;
        }
        // On a channel that no other connection has.
        connection.batch_execute(
            "DO $$ BEGIN EXECUTE format('LISTEN keyward_hello_%s', pg_backend_pid()); END $$; \
             SELECT pg_notify('keyward_hello_' || pg_backend_pid(), '')",
        )?;
        let asked = Instant::now();
        while asked.elapsed() < HELLO_PATIENCE {
            let mut heard = false;
            for notification in connection.notifications_iter() {
                heard |= notification?.channel.starts_with("keyward_hello_");
            }
            if heard {
                connection.batch_execute(
                    "DO $$ BEGIN EXECUTE format('UNLISTEN keyward_hello_%s', pg_backend_pid()); END $$",
                )?;
                return Ok(connection);
            }
            self.nap(NAP)?;
        }
        Err(End::Failed("LISTEN was accepted, but nothing is delivered".to_owned()))
    }

    fn hear(&self, connection: &mut PgConnection) -> Result<(), End> {
        let mut last_heartbeat = Instant::now();
        loop {
            self.pass_on(connection)?;
            if last_heartbeat.elapsed() >= HEARTBEAT {
                let asked_at = Instant::now();
                connection.batch_execute("SELECT 1")?;
                self.pass_on(connection)?;
                (self.on_event)(Event::Alive { asked_at });
                last_heartbeat = Instant::now();
            }
            self.nap(NAP)?;
        }
    }

    fn pass_on(&self, connection: &mut PgConnection) -> QueryResult<()> {
        for notification in connection.notifications_iter() {
            let notification = notification?;
            (self.on_event)(Event::Notified {
                channel: notification.channel,
                payload: notification.payload,
            });
        }
        Ok(())
    }

    /// Waits, or returns at once when the listener is dropped.
    fn nap(&self, how_long: Duration) -> Result<(), End> {
        match self.stopped.recv_timeout(how_long) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(End::Stopped),
        }
    }
}
