//! Decides which cached reads are still valid. `credential_cache/mod.rs` explains how the parts work together.
//!
//! Database triggers send a NOTIFY with the id of each changed row that credentials depend on, on two channels: the
//! channel of the connection that makes the change, which this instance reads before [`super::Db::transaction`]
//! returns, and the channel `keyward`, on which every instance listens with a dedicated connection.
//!
//! Cache entries aren't evicted. Each change bumps a version and stores it in the slot of the changed id. A cache entry
//! holds the [`ReadVersion`] taken before its database read, and is valid while the slots of all ids it depends on are
//! at or below that version. A change between the read and the insertion into the cache therefore invalidates the entry
//! too. Ids share a fixed number of slots; a collision only causes an extra read.
//!
//! While the listening connection isn't known to work, no entry is valid.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use uuid::Uuid;

use super::listener::Event;
use super::pool::{OwnSessions, PoolGeneration};

/// Must be a power of two.
const SLOTS: usize = 1 << 16;
/// How long a cached read is valid if nothing changes.
const MAX_AGE: Duration = Duration::from_secs(5);
/// After this age an entry in use is read again in the background. One second is enough for a read even under load; a
/// shorter age would only cause more reads for keys that are used all the time.
const REVALIDATE_AFTER: Duration = Duration::from_secs(4);
/// The listening connection counts as lost if its last successful heartbeat is older than this. Heartbeats are sent
/// every 400 ms. This bounds how long a change can remain unnoticed if the connection hangs.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_millis(900);
/// The channel on which the triggers send every change.
pub(super) const CHANNELS: &[&str] = &["keyward"];

pub struct InvalidationLog {
    started_at: Instant,
    /// The version of the latest change.
    version: AtomicU64,
    /// Reads below this version are invalid: changes may have been missed since.
    min_version: AtomicU64,
    /// The version of the latest change of any id that maps to the slot.
    slots: Box<[AtomicU64]>,
    /// When the listening connection was last known to work, in milliseconds since `started_at`; 0 while disconnected.
    last_heartbeat: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    Fresh,
    /// Still valid, but about to expire. The caller should use the value and read it again in the background, so that
    /// no request has to wait for the read.
    StaleWhileRevalidate,
    /// Invalid.
    Stale,
}

/// Identifies the state of the database that a read sees; must be taken before the read begins.
#[derive(Clone, Copy, Debug)]
pub struct ReadVersion {
    version: u64,
    /// In milliseconds since the start of the log.
    taken_at: u64,
}

fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Default for InvalidationLog {
    fn default() -> Self {
        Self {
            started_at: Instant::now(),
            version: AtomicU64::new(1),
            min_version: AtomicU64::new(0),
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            last_heartbeat: AtomicU64::new(0),
        }
    }
}

impl InvalidationLog {
    /// Starts at 1, because 0 means "disconnected" in `last_heartbeat`.
    fn millis_at(&self, instant: Instant) -> u64 {
        as_millis(instant.duration_since(self.started_at)) + 1
    }

    fn connected(&self, at: Instant) {
        self.last_heartbeat.store(self.millis_at(at), Ordering::SeqCst);
    }

    fn disconnected(&self) {
        self.last_heartbeat.store(0, Ordering::SeqCst);
    }

    /// Whether the changes of other instances are noticed; otherwise no read is valid.
    pub fn is_connected(&self) -> bool {
        self.is_connected_at(self.millis_at(Instant::now()))
    }

    fn is_connected_at(&self, now: u64) -> bool {
        let last_heartbeat = self.last_heartbeat.load(Ordering::SeqCst);
        last_heartbeat != 0 && now.saturating_sub(last_heartbeat) <= as_millis(HEARTBEAT_TIMEOUT)
    }

    fn slot(&self, id: Uuid) -> Option<&AtomicU64> {
        // The low bits are random in UUID v4 and v7.
        let (_, low) = id.as_u64_pair();
        self.slots.get(usize::try_from(low).unwrap_or_default() & (SLOTS - 1))
    }

    pub fn read_version(&self) -> ReadVersion {
        ReadVersion {
            version: self.version.load(Ordering::SeqCst),
            taken_at: self.millis_at(Instant::now()),
        }
    }

    /// Whether a read at `read_version` that depends on the rows `ids` is still valid.
    pub fn freshness(&self, read_version: ReadVersion, ids: impl IntoIterator<Item = Uuid>) -> Freshness {
        let now = self.millis_at(Instant::now());
        let age = now.saturating_sub(read_version.taken_at);
        let is_valid = self.is_connected_at(now)
            && age <= as_millis(MAX_AGE)
            && read_version.version >= self.min_version.load(Ordering::SeqCst)
            && ids.into_iter().all(|id| {
                self.slot(id)
                    .is_some_and(|slot| slot.load(Ordering::SeqCst) <= read_version.version)
            });
        if !is_valid {
            Freshness::Stale
        } else if age > as_millis(REVALIDATE_AFTER) {
            Freshness::StaleWhileRevalidate
        } else {
            Freshness::Fresh
        }
    }

    fn record_change(&self, id: Uuid) {
        let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(slot) = self.slot(id) {
            slot.fetch_max(version, Ordering::SeqCst);
        }
    }

    pub(super) fn invalidate_all(&self) {
        let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        self.min_version.fetch_max(version, Ordering::SeqCst);
    }

    /// Records the changes that `connection` made itself.
    pub(super) fn record_own_changes(&self, connection: &mut PgConnection) {
        // An error here means that the connection is broken; its next statement reports that.
        for notification in connection.notifications_iter().map_while(Result::ok) {
            self.record_payload(&notification.payload);
        }
    }

    fn record_payload(&self, payload: &str) {
        match Uuid::parse_str(payload) {
            Ok(id) => self.record_change(id),
            Err(_) => self.invalidate_all(),
        }
    }
}

/// Records the changes of all instances in `log`. `own_sessions` is what the listening connection shows about the others, if
/// it takes the same way.
pub(super) fn recorder(
    log: Arc<InvalidationLog>,
    generation: PoolGeneration,
    own_sessions: Option<OwnSessions>,
) -> impl Fn(Event) + Send + 'static {
    let set_own_sessions = move |are_own| {
        if let Some(own_sessions) = &own_sessions {
            own_sessions.set(are_own);
        }
    };
    move |event| match event {
        Event::Connected => {
            set_own_sessions(true);
            log.invalidate_all();
            log.connected(Instant::now());
        }
        Event::Alive { sent_at } => log.connected(sent_at),
        Event::Disconnected => {
            generation.bump();
            log.disconnected();
        }
        Event::Pooled => set_own_sessions(false),
        Event::Notified { payload, .. } => log.record_payload(&payload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn connected() -> InvalidationLog {
        let log = InvalidationLog::default();
        log.connected(Instant::now());
        log
    }

    #[test]
    fn a_read_is_valid_until_a_row_it_depends_on_changes() {
        let log = connected();
        let read = log.read_version();
        assert_eq!(log.freshness(read, [id(1), id(2)]), Freshness::Fresh);
        log.record_change(id(3));
        assert_eq!(log.freshness(read, [id(1), id(2)]), Freshness::Fresh);
        log.record_change(id(2));
        assert_eq!(log.freshness(read, [id(1), id(2)]), Freshness::Stale);
        assert_eq!(log.freshness(read, [id(1)]), Freshness::Fresh);
        assert_eq!(log.freshness(log.read_version(), [id(1), id(2)]), Freshness::Fresh);
    }

    #[test]
    fn a_notification_without_an_id_invalidates_every_read() {
        let log = connected();
        let read = log.read_version();
        log.record_payload("nonsense");
        assert_eq!(log.freshness(read, [id(1)]), Freshness::Stale);
        assert_eq!(log.freshness(log.read_version(), [id(1)]), Freshness::Fresh);
    }

    #[test]
    fn an_old_read_is_to_be_revalidated_before_it_expires() {
        let mut log = connected();
        let Some(earlier) = log.started_at.checked_sub(REVALIDATE_AFTER + Duration::from_millis(1)) else {
            // The machine booted less than four seconds ago.
            return;
        };
        let read = log.read_version();
        assert_eq!(log.freshness(read, []), Freshness::Fresh);
        log.started_at = earlier;
        log.connected(Instant::now());
        assert_eq!(log.freshness(read, []), Freshness::StaleWhileRevalidate);
        assert_eq!(log.freshness(log.read_version(), []), Freshness::Fresh);
    }

    #[test]
    fn no_read_is_valid_without_a_listening_connection() {
        let log = InvalidationLog::default();
        let read = log.read_version();
        assert_eq!(log.freshness(read, []), Freshness::Stale);
        log.connected(Instant::now());
        assert_eq!(log.freshness(read, []), Freshness::Fresh);
        log.disconnected();
        assert_eq!(log.freshness(read, []), Freshness::Stale);
    }
}
