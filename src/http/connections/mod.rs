//! The registry of all connections: how many there are, how many of one network, and which have to end.
//!
//! - A client gets 5 s for the head of its first request (actix-http, which answers 408) and of every further one, and
//!   [`READ_TIMEOUT`] to take the part of a response that is buffered for it.
//! - From three quarters of the maximum on, a new connection closes those that have waited longest for a request, as nginx
//!   does with `worker_connections`. So connections that do nothing never keep out one that wants something.
//! - At the maximum, a new connection is answered 503 and closed. A network may hold a quarter of the maximum; beyond it,
//!   it is answered 429. A trusted proxy holds the connections of many networks, and has no such limit.

mod body;
mod connection;
mod stream;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

pub(super) use self::body::RequestInProgress;
pub use self::connection::Connection;
use self::connection::Waiting;
pub use self::stream::LimitedStream;
use crate::error::Error;
use crate::values::network_of;

/// For the head of a request after the first on its connection. Longer than that for the first, which ends with a response.
const HEAD_TIMEOUT: Duration = Duration::from_secs(6);
/// For the part of a response that is buffered, at most some 30 kB beside what the system buffers.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// The same while more than half of [`MAX_BLOCKED`] connections wait for their clients to read.
const READ_TIMEOUT_UNDER_PRESSURE: Duration = Duration::from_secs(2);
/// How many connections may wait for their clients to read: each holds up to 130 kB. A further one is closed.
const MAX_BLOCKED: usize = 256;
/// The same for one network, so that it can't have the connections of others closed.
const MAX_BLOCKED_OF_NETWORK: usize = MAX_BLOCKED / 4;
/// Connections without a request are closed after this time under pressure.
const KEEP_ALIVE_UNDER_PRESSURE: Duration = Duration::from_secs(5);
/// How often deadlines are checked.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The reason why a new connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The maximum of all connections is reached, but some are being closed.
    Full,
    /// The maximum of all connections is reached.
    TooMany,
    /// The maximum of the client's network is reached.
    TooManyOfNetwork { maximum: usize },
}

impl Refusal {
    pub fn to_error(self) -> Error {
        match self {
            Self::Full | Self::TooMany => Error::unavailable("the maximum number of connections is reached"),
            Self::TooManyOfNetwork { maximum } => {
                Error::rate_limited("default", u64::try_from(maximum).unwrap_or(u64::MAX), 1, 1)
            }
        }
    }
}

#[derive(Debug)]
pub struct Connections {
    maximum: usize,
    /// `None` with `KEYWARD_RATE_LIMITS=off`.
    maximum_of_network: Option<usize>,
    trusted_proxies: Vec<IpNet>,
    blocked: AtomicUsize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    last_id: u64,
    connections: HashMap<u64, Arc<Connection>>,
    per_network: HashMap<IpNet, OfNetwork>,
}

#[derive(Debug, Default)]
struct OfNetwork {
    open: usize,
    blocked: usize,
}

impl Connections {
    pub fn new(maximum: usize, limit_networks: bool, trusted_proxies: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self {
            maximum,
            maximum_of_network: limit_networks.then(|| (maximum / 4).max(1)),
            trusted_proxies,
            blocked: AtomicUsize::new(0),
            open: Mutex::default(),
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_under_pressure(&self, open: &Open) -> bool {
        let closing = open.connections.values().filter(|connection| connection.is_closing());
        open.connections.len() >= self.maximum - self.maximum / 4
            && open.connections.len() - closing.count() >= self.maximum - self.maximum / 4
    }

    /// Admits a new connection of `peer`.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Admission, Refusal> {
        let network = self.limited_network(peer);
        let mut open = self.open();
        if let (Some(network), Some(maximum)) = (&network, self.maximum_of_network)
            && open
                .per_network
                .get(network)
                .is_some_and(|of_network| of_network.open >= maximum)
        {
            return Err(Refusal::TooManyOfNetwork { maximum });
        }
        let is_full = open.connections.len() >= self.maximum;
        if self.is_under_pressure(&open) {
            open.close_longest_idle((self.maximum / 16).max(1));
        } else if is_full {
            // Others wait for those that are closing already.
            open.close_longest_idle(1);
        }
        if is_full {
            let is_closing = open.connections.values().any(|connection| connection.is_closing());
            return Err(if is_closing { Refusal::Full } else { Refusal::TooMany });
        }
        open.last_id += 1;
        let id = open.last_id;
        let connection = Arc::new(Connection::new(Instant::now()));
        open.connections.insert(id, Arc::clone(&connection));
        if let Some(network) = network {
            open.per_network.entry(network).or_default().open += 1;
        }
        Ok(Admission {
            connections: Arc::clone(self),
            connection,
            id,
            network,
        })
    }

    /// The network whose connections are counted.
    fn limited_network(&self, peer: IpAddr) -> Option<IpNet> {
        self.maximum_of_network?;
        let peer = peer.to_canonical();
        let is_proxy = self.trusted_proxies.iter().any(|proxies| proxies.contains(&peer));
        (!is_proxy).then(|| network_of(peer))
    }

    /// Closes the connections whose deadlines are over.
    pub fn sweep(&self, now: Instant) {
        let open = self.open();
        let is_under_pressure = self.is_under_pressure(&open);
        let many_blocked = self.blocked.load(Ordering::Relaxed) > MAX_BLOCKED / 2;
        for connection in open.connections.values() {
            let (since, timeout) = match connection.waiting() {
                Waiting::ForHead(since) => (since, HEAD_TIMEOUT),
                Waiting::ForReader(since) if many_blocked => (since, READ_TIMEOUT_UNDER_PRESSURE),
                Waiting::ForReader(since) => (since, READ_TIMEOUT),
                Waiting::ForRequest(since) if is_under_pressure => (since, KEEP_ALIVE_UNDER_PRESSURE),
                Waiting::ForRequest(_) | Waiting::No => continue,
            };
            if now.saturating_duration_since(since) >= timeout {
                connection.close();
            }
        }
    }

    /// The number of open connections.
    pub fn count(&self) -> usize {
        self.open().connections.len()
    }
}

impl Open {
    fn close_longest_idle(&self, count: usize) {
        let mut idle: Vec<(Instant, &Arc<Connection>)> = self
            .connections
            .values()
            .filter(|connection| !connection.is_closing())
            .filter_map(|connection| match connection.waiting() {
                Waiting::ForRequest(since) => Some((since, connection)),
                _ => None,
            })
            .collect();
        idle.sort_unstable_by_key(|(since, _)| *since);
        for (_, connection) in idle.into_iter().take(count) {
            connection.close();
        }
    }
}

/// The place of a connection in the registry, given up when it is dropped.
#[derive(Debug)]
pub struct Admission {
    connections: Arc<Connections>,
    connection: Arc<Connection>,
    id: u64,
    network: Option<IpNet>,
}

impl Admission {
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// The client does not read.
    ///
    /// # Errors
    /// Too many clients don't.
    fn block(&self) -> io::Result<()> {
        if !self.connection.block() {
            return Ok(());
        }
        let others = self.connections.blocked.fetch_add(1, Ordering::Relaxed);
        let of_network = self.of_network(|of_network| {
            of_network.blocked += 1;
            of_network.blocked
        });
        if others >= MAX_BLOCKED || of_network.is_some_and(|blocked| blocked > MAX_BLOCKED_OF_NETWORK) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    /// The client has read everything. Returns whether it had not before.
    fn unblock(&self) -> bool {
        let was_blocked = self.connection.unblock();
        if was_blocked {
            self.connections.blocked.fetch_sub(1, Ordering::Relaxed);
            self.of_network(|of_network| of_network.blocked -= 1);
        }
        was_blocked
    }

    /// `None` if the connections of the network are not counted.
    fn of_network<T>(&self, change: impl FnOnce(&mut OfNetwork) -> T) -> Option<T> {
        let network = self.network.as_ref()?;
        self.connections.open().per_network.get_mut(network).map(change)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.unblock();
        let mut open = self.connections.open();
        open.connections.remove(&self.id);
        let Some(network) = &self.network else { return };
        if let Some(of_network) = open.per_network.get_mut(network) {
            of_network.open -= 1;
            if of_network.open == 0 {
                open.per_network.remove(network);
            }
        }
    }
}

#[cfg(test)]
mod tests;
