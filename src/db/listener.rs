//! LISTEN on a dedicated connection and thread.
//!
//! PostgreSQL doesn't keep notifications for a client that isn't connected. The listener therefore reports when
//! notifications start to arrive ([`Event::Connected`]: anything may have changed before) and when some may have been
//! missed ([`Event::Disconnected`]: state derived from notifications is no longer reliable).
//!
//! Connection poolers such as `PgBouncer` in transaction mode accept LISTEN, but deliver only what the same transaction
//! sends. So each new connection first has to receive a notification from a second connection, while it is idle. Behind a
//! pooler, `KEYWARD_DB_LISTEN_URL` names a direct way for the first one; the second one takes that of the pool, which also shows
//! that both lead to the same database. A heartbeat detects connections that die silently.
//!
//! Diesel doesn't expose the socket, so the thread can't block until data arrives. It polls every 20 ms, which takes 0.2 %
//! of a core, heartbeats included. Nor can it stop waiting for a server that doesn't respond. So a second thread, which
//! calls `on_event`, abandons the first one after a time without a heartbeat, and starts another.

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
/// How long a new connection may take to receive the notification of the second connection.
const SELF_TEST_TIMEOUT: Duration = Duration::from_secs(1);
const RECONNECT_INTERVAL: Duration = Duration::from_millis(200);
/// The pause if a pooler drops the notifications, which does not change from one moment to the next.
const POOLED_RECONNECT_INTERVAL: Duration = Duration::from_mins(1);
/// A connection without a heartbeat for this long is abandoned.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(3);
/// An attempt to connect, with its self-test, is abandoned after this time. Longer than `connect_timeout` twice.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(8);

/// Stricter than those of the pool: the connection counts as lost if sent data isn't acknowledged within half a second.
const CONNECT_OPTIONS: [(&str, &str); 3] = [
    ("connect_timeout", "2"),
    ("tcp_user_timeout", "500"),
    ("application_name", "keyward-listener"),
];

const SESSION_SETTINGS: &str = "SET statement_timeout = '500ms'; SET lock_timeout = '500ms'";

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
    /// A pooler between this program and the server drops notifications: LISTEN is not possible.
    Pooled,
    Notified {
        channel: String,
        payload: String,
    },
}

/// Handle of the listening threads. Dropping it ends them within one poll interval, or after the current attempt to connect.
#[derive(Debug)]
pub struct Listener {
    signals: Sender<Signal>,
    supervisor: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Urls {
    /// `KEYWARD_DB_LISTEN_URL`
    direct: Option<SecretString>,
    /// The one that the pool connects to.
    pool: SecretString,
}

/// What the supervising thread receives.
enum Signal {
    Event(Event),
    /// The worker begins to connect.
    Connecting,
    /// The [`Listener`] was dropped.
    Stop,
}

impl Listener {
    /// Listens on `channels` at `listen_url`, or else at `url`, where other connections send notifications. Reconnects
    /// whenever the connection is lost. The channel names go into SQL unescaped.
    /// `on_event` runs on a thread of its own; while it runs, no other event is delivered.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn spawn(
        listen_url: Option<&SecretString>,
        url: &SecretString,
        channels: &'static [&'static str],
        on_event: impl Fn(Event) + Send + 'static,
    ) -> std::io::Result<Self> {
        let with_options = |url: &SecretString| SecretString::from(with_options(url.expose_secret(), &CONNECT_OPTIONS));
        let urls = Urls {
            direct: listen_url.map(with_options),
            pool: with_options(url),
        };
        let (signals, received) = channel();
        let worker_signals = signals.clone();
        let supervisor = Builder::new().name("listener".to_owned()).spawn(move || {
            while supervise(&urls, channels, &worker_signals, &received, &on_event) {
                tracing::warn!("the database does not respond to the listening connection; trying another one");
            }
        })?;
        Ok(Self {
            signals,
            supervisor: Some(supervisor),
        })
    }

    /// Ends the supervising thread and waits for it.
    pub fn stop(mut self) {
        if let Some(supervisor) = self.supervisor.take() {
            // Errors mean that the thread panicked, which the panic hook has logged.
            let _ = self.signals.send(Signal::Stop);
            let _ = supervisor.join();
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.signals.send(Signal::Stop);
    }
}

/// Runs one worker. Returns true if it has to be replaced because it doesn't respond, false if the [`Listener`] was dropped.
fn supervise(
    urls: &Urls,
    channels: &'static [&'static str],
    signals: &Sender<Signal>,
    received: &Receiver<Signal>,
    on_event: &impl Fn(Event),
) -> bool {
    // The worker ends when this sender is dropped.
    let (_stop, stopped) = channel();
    let worker = Worker {
        urls: urls.clone(),
        channels,
        signals: signals.clone(),
        stopped,
        self_test_channel: format!("keyward_hello_{}", uuid::Uuid::new_v4().simple()),
    };
    if let Err(error) = Builder::new()
        .name("listener-io".to_owned())
        .spawn(move || worker.run())
    {
        tracing::error!(%error, "cannot start a thread");
    }
    let mut connected = false;
    let mut limit = ATTEMPT_TIMEOUT;
    loop {
        let signal = received.recv_timeout(limit);
        match &signal {
            Ok(Signal::Event(Event::Connected)) => (connected, limit) = (true, SILENCE_TIMEOUT),
            Ok(Signal::Event(Event::Disconnected)) => (connected, limit) = (false, ATTEMPT_TIMEOUT),
            Ok(Signal::Event(Event::Pooled)) => limit = POOLED_RECONNECT_INTERVAL + ATTEMPT_TIMEOUT,
            Ok(Signal::Connecting) => limit = ATTEMPT_TIMEOUT,
            Ok(Signal::Event(_) | Signal::Stop) | Err(_) => {}
        }
        match signal {
            Ok(Signal::Event(event)) => on_event(event),
            Ok(Signal::Connecting) => {}
            Ok(Signal::Stop) | Err(_) => {
                if connected {
                    on_event(Event::Disconnected);
                }
                return signal.is_err();
            }
        }
    }
}

/// The reason for which the thread stops using its connection.
enum Exit {
    /// The [`Listener`] was dropped, or this worker abandoned.
    Stopped,
    Failed(String),
    /// See [`Event::Pooled`].
    Pooled,
}

impl<E: std::error::Error> From<E> for Exit {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The state of the listening thread.
struct Worker {
    urls: Urls,
    channels: &'static [&'static str],
    signals: Sender<Signal>,
    /// Nothing is sent on it. It disconnects when the worker has to end.
    stopped: Receiver<()>,
    /// Random, so that no other connection listens on it.
    self_test_channel: String,
}

impl Worker {
    fn run(&self) {
        // Logs the first failure only, not every attempt to reconnect.
        let mut failure_logged = false;
        loop {
            // An error means that the supervisor has ended, which `sleep` notices.
            let _ = self.signals.send(Signal::Connecting);
            let result = self.connect().and_then(|mut connection| {
                self.send(Event::Connected);
                tracing::debug!(channels = ?self.channels, "listening");
                failure_logged = false;
                let result = self.deliver(&mut connection);
                self.send(Event::Disconnected);
                result
            });
            let pause = match result {
                Err(Exit::Failed(reason)) => {
                    if !failure_logged {
                        tracing::warn!(%reason, "cannot listen to the database; trying again until it works");
                    }
                    RECONNECT_INTERVAL
                }
                Err(Exit::Pooled) => {
                    if !failure_logged {
                        self.warn_of_lost_notifications();
                    }
                    self.send(Event::Pooled);
                    POOLED_RECONNECT_INTERVAL
                }
                Ok(()) | Err(Exit::Stopped) => return,
            };
            failure_logged = true;
            if self.sleep(pause).is_err() {
                return;
            }
        }
    }

    fn send(&self, event: Event) {
        let _ = self.signals.send(Signal::Event(event));
    }

    fn warn_of_lost_notifications(&self) {
        if self.urls.direct.is_some() {
            tracing::warn!(
                "KEYWARD_DB_LISTEN_URL: notifications sent at DATABASE_URL do not arrive, because it leads to a connection pooler \
                 or to another database: credentials are not cached"
            );
        } else {
            tracing::warn!(
                "a connection pooler drops the notifications of the database: credentials are not cached; set \
                 KEYWARD_DB_LISTEN_URL"
            );
        }
    }

    /// Connects, and checks that notifications are delivered on this connection.
    fn connect(&self) -> Result<PgConnection, Exit> {
        let mut connection =
            PgConnection::establish(self.urls.direct.as_ref().unwrap_or(&self.urls.pool).expose_secret())?;
        let test_channel = &self.self_test_channel;
        let listen: Vec<String> = self
            .channels
            .iter()
            .map(|channel| format!("LISTEN {channel};"))
            .collect();
        let listen = listen.concat();
        connection.batch_execute(&format!("{SESSION_SETTINGS}; {listen} LISTEN {test_channel}"))?;
        PgConnection::establish(self.urls.pool.expose_secret())?.batch_execute(&format!("NOTIFY {test_channel}"))?;
        let sent_at = Instant::now();
        while sent_at.elapsed() < SELF_TEST_TIMEOUT {
            let mut received = false;
            for notification in connection.notifications_iter() {
                received |= notification?.channel == *test_channel;
            }
            if received {
                connection.batch_execute(&format!("UNLISTEN {test_channel}"))?;
                return Ok(connection);
            }
            self.sleep(POLL_INTERVAL)?;
        }
        // Alive and without a notification: otherwise the connection has failed, which says nothing about a pooler.
        connection.batch_execute("UNLISTEN *")?;
        Err(Exit::Pooled)
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
                self.send(Event::Alive { sent_at });
                last_heartbeat = Instant::now();
            }
            self.sleep(POLL_INTERVAL)?;
        }
    }

    fn deliver_pending(&self, connection: &mut PgConnection) -> QueryResult<()> {
        for notification in connection.notifications_iter() {
            let notification = notification?;
            self.send(Event::Notified {
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
