//! LISTEN on a dedicated connection and thread.
//!
//! PostgreSQL doesn't keep notifications for a client that isn't connected. The listener therefore reports when
//! notifications start to arrive ([`Event::Connected`]: anything may have changed before) and when some may have been
//! missed ([`Event::Disconnected`]: state derived from notifications is no longer reliable).
//!
//! Connection poolers such as `PgBouncer` in transaction mode accept LISTEN but never deliver anything. So each new
//! connection first has to receive a notification that it sent to itself. A heartbeat detects connections that die
//! silently.
//!
//! Diesel doesn't expose the socket, so the thread can't block until data arrives. It polls every 20 ms, which takes 0.2 %
//! of a core, heartbeats included.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::pg::PgConnection;
use diesel::{Connection as _, QueryResult};
use secrecy::{ExposeSecret as _, SecretString};

use super::pool::with_options;

const POLL_INTERVAL: Duration = Duration::from_millis(20);
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(400);
/// How long a new connection may take to receive the notification that it sent to itself.
const SELF_TEST_TIMEOUT: Duration = Duration::from_secs(1);
const RECONNECT_INTERVAL: Duration = Duration::from_millis(200);

/// Stricter than those of the pool: the connection counts as lost if sent data isn't acknowledged within half a second.
const CONNECT_OPTIONS: [(&str, &str); 3] = [
    ("connect_timeout", "2"),
    ("tcp_user_timeout", "500"),
    ("application_name", "keyward-listener"),
];

const SESSION_SETTINGS: &str = "SET statement_timeout = '500ms'; SET lock_timeout = '500ms'; SET lc_messages = 'C'";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The connection is established: every notification from now on is delivered.
    Connected,
    /// The connection is lost, and notifications of the last moments may be lost with it.
    Disconnected,
    /// The server replied to a heartbeat. All notifications that it sent before `sent_at` have been delivered.
    Alive {
        sent_at: Instant,
    },
    Notified {
        channel: String,
        payload: String,
    },
}

/// Handle of the listening thread. Dropping it ends the thread within one poll interval, or after the current attempt
/// to connect.
#[derive(Debug)]
pub struct Listener {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Listens on `channels`, and reconnects whenever the connection is lost. The channel names go into SQL unescaped.
    /// `on_event` runs on the listening thread; while it runs, no other event is delivered.
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
            Worker {
                url,
                channels,
                on_event,
                stopped,
            }
            .run();
        })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Ends the thread and waits for it. Blocks for the length of an attempt to connect at most.
    pub fn stop(mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // An error means that the thread panicked, which the panic hook has logged.
            let _ = thread.join();
        }
    }
}

/// The reason for which the thread stops using its connection.
enum Exit {
    /// The [`Listener`] was dropped.
    Stopped,
    Failed(String),
}

impl<E: std::error::Error> From<E> for Exit {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The state of the listening thread.
struct Worker<F> {
    url: SecretString,
    channels: &'static [&'static str],
    on_event: F,
    /// Nothing is sent on it. It disconnects when the [`Listener`] is dropped.
    stopped: Receiver<()>,
}

impl<F: Fn(Event)> Worker<F> {
    fn run(&self) {
        // Logs the first failure only, not every attempt to reconnect.
        let mut failure_logged = false;
        loop {
            let result = self.connect().and_then(|mut connection| {
                (self.on_event)(Event::Connected);
                tracing::debug!(channels = ?self.channels, "listening");
                failure_logged = false;
                let result = self.deliver(&mut connection);
                (self.on_event)(Event::Disconnected);
                result
            });
            match result {
                Err(Exit::Failed(reason)) if !failure_logged => {
                    failure_logged = true;
                    tracing::warn!(%reason, "cannot listen to the database; trying again until it works");
                }
                Err(Exit::Failed(_)) => {}
                Ok(()) | Err(Exit::Stopped) => return,
            }
            if self.sleep(RECONNECT_INTERVAL).is_err() {
                return;
            }
        }
    }

    /// Connects, and checks that notifications are delivered on this connection.
    fn connect(&self) -> Result<PgConnection, Exit> {
        let mut connection = PgConnection::establish(self.url.expose_secret())?;
        connection.batch_execute(SESSION_SETTINGS)?;
        for channel in self.channels {
            connection.batch_execute(&format!("LISTEN {channel}"))?;
        }
        // The backend's process id makes the name of the channel unique to this connection.
        connection.batch_execute(
            "DO $$ BEGIN EXECUTE format('LISTEN keyward_hello_%s', pg_backend_pid()); END $$; \
             SELECT pg_notify('keyward_hello_' || pg_backend_pid(), '')",
        )?;
        let sent_at = Instant::now();
        while sent_at.elapsed() < SELF_TEST_TIMEOUT {
            let mut received = false;
            for notification in connection.notifications_iter() {
                received |= notification?.channel.starts_with("keyward_hello_");
            }
            if received {
                connection.batch_execute(
                    "DO $$ BEGIN EXECUTE format('UNLISTEN keyward_hello_%s', pg_backend_pid()); END $$",
                )?;
                return Ok(connection);
            }
            self.sleep(POLL_INTERVAL)?;
        }
        Err(Exit::Failed(
            "the server accepts LISTEN but delivers no notification; a connection pooler in between may drop them"
                .to_owned(),
        ))
    }

    /// Delivers notifications and heartbeats until the connection fails or the listener is dropped.
    fn deliver(&self, connection: &mut PgConnection) -> Result<(), Exit> {
        let mut last_heartbeat = Instant::now();
        loop {
            self.deliver_pending(connection)?;
            if last_heartbeat.elapsed() >= HEARTBEAT_INTERVAL {
                let sent_at = Instant::now();
                connection.batch_execute("SELECT 1")?;
                self.deliver_pending(connection)?;
                (self.on_event)(Event::Alive { sent_at });
                last_heartbeat = Instant::now();
            }
            self.sleep(POLL_INTERVAL)?;
        }
    }

    fn deliver_pending(&self, connection: &mut PgConnection) -> QueryResult<()> {
        for notification in connection.notifications_iter() {
            let notification = notification?;
            (self.on_event)(Event::Notified {
                channel: notification.channel,
                payload: notification.payload,
            });
        }
        Ok(())
    }

    /// Returns [`Exit::Stopped`] as soon as the listener is dropped.
    fn sleep(&self, duration: Duration) -> Result<(), Exit> {
        match self.stopped.recv_timeout(duration) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(Exit::Stopped),
        }
    }
}
