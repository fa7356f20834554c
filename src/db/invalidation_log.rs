//! What was changed by whom, as far as memory depends on it.
//!
//! What was read may be remembered for a moment if it is forgotten as soon as it changes. Triggers tell of every change of
//! a row that credentials depend on, by PostgreSQL's NOTIFY, in two ways: on the channel of the connection that makes the
//! change, which this instance hears before its own commit returns; and on the channel that every instance listens to, on
//! a connection kept for that alone.
//!
//! Nothing is searched for and deleted. Each change draws a number and writes it down at the place of what was changed;
//! what is remembered holds the number that was current before it was read, and the places it depends on. It counts as
//! long as none of them has a greater number. So a change that falls between the reading and the remembering is not lost.
//! The places are few and shared by chance: who shares one is read again without need, which harms nothing.
//!
//! While the listening connection is not known to work, nothing that is remembered counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::pg::PgConnection;
use secrecy::SecretString;
use uuid::Uuid;

use super::listener::{Event, Listener};
use super::pool::PoolGeneration;

/// How many places there are; a power of two.
const PLACES: usize = 1 << 16;
/// How long something that was read may be remembered at most.
const LIFETIME: Duration = Duration::from_secs(5);
/// When it is read again, if it is asked for then: early enough that it is there in time even under load, and not earlier,
/// for thousands of keys that are in use make as many reads.
const AGING: Duration = Duration::from_secs(4);
/// When the server's last sign of life (there is one every 400 ms) is older than this, the listening connection counts as
/// lost, whatever it says itself: this bounds how long a change can go unnoticed.
const SILENCE: Duration = Duration::from_millis(900);
/// The channel of all changes.
const CHANNEL: &str = "keyward";

/// The changes that were heard of.
pub struct InvalidationLog {
    started: Instant,
    number: AtomicU64,
    /// What was read before this number does not count: changes went unheard then.
    floor: AtomicU64,
    places: Box<[AtomicU64]>,
    /// When the listening connection was last known to work, in milliseconds since `started`; 0: it does not.
    heard: AtomicU64,
}

/// How far what was read may still be relied upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Fully.
    Fresh,
    /// Fully, but not for long. Who reads it again in time spares everybody the wait: under load a read takes longer than a
    /// thousand looks at what is remembered.
    Aging,
    /// Not at all.
    Stale,
}

/// When something was read: to be taken before the reading begins.
#[derive(Clone, Copy, Debug)]
pub struct ReadVersion {
    number: u64,
    at: u64,
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Default for InvalidationLog {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            number: AtomicU64::new(1),
            floor: AtomicU64::new(0),
            places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
            heard: AtomicU64::new(0),
        }
    }
}

impl InvalidationLog {
    fn millis(&self) -> u64 {
        self.millis_at(Instant::now())
    }

    fn millis_at(&self, instant: Instant) -> u64 {
        whole_millis(instant.duration_since(self.started)) + 1
    }

    /// The listening connection worked then.
    fn heard_at(&self, instant: Instant) {
        self.heard.store(self.millis_at(instant), Ordering::SeqCst);
    }

    /// The listening connection is lost.
    fn deaf(&self) {
        self.heard.store(0, Ordering::SeqCst);
    }

    fn place(&self, id: Uuid) -> Option<&AtomicU64> {
        // The last bits of a UUID are random in every version that is in use here.
        let (_, low) = id.as_u64_pair();
        self.places.get(usize::try_from(low).unwrap_or_default() & (PLACES - 1))
    }

    /// Begins a reading.
    pub fn reading(&self) -> ReadVersion {
        ReadVersion {
            number: self.number.load(Ordering::SeqCst),
            at: self.millis(),
        }
    }

    /// How far what was read then, of these things, may still be relied upon.
    pub fn freshness(&self, reading: ReadVersion, of: impl IntoIterator<Item = Uuid>) -> Freshness {
        let (now, heard) = (self.millis(), self.heard.load(Ordering::SeqCst));
        let age = now.saturating_sub(reading.at);
        let counts = heard != 0
            && now.saturating_sub(heard) <= whole_millis(SILENCE)
            && age <= whole_millis(LIFETIME)
            && reading.number >= self.floor.load(Ordering::SeqCst)
            && of.into_iter().all(|id| {
                self.place(id)
                    .is_some_and(|place| place.load(Ordering::SeqCst) <= reading.number)
            });
        if !counts {
            Freshness::Stale
        } else if age > whole_millis(AGING) {
            Freshness::Aging
        } else {
            Freshness::Fresh
        }
    }

    /// Something was changed.
    pub fn happened(&self, id: Uuid) {
        let number = self.number.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(place) = self.place(id) {
            place.fetch_max(number, Ordering::SeqCst);
        }
    }

    /// Anything may have been changed.
    fn anything_happened(&self) {
        let number = self.number.fetch_add(1, Ordering::SeqCst) + 1;
        self.floor.fetch_max(number, Ordering::SeqCst);
    }

    /// Takes in what a connection was told while it worked.
    pub(super) fn take_in(&self, connection: &mut PgConnection) {
        // A connection that fails here fails for ever; whoever asks it for something is told so.
        for notification in connection.notifications_iter().map_while(Result::ok) {
            self.take_in_payload(&notification.payload);
        }
    }

    fn take_in_payload(&self, payload: &str) {
        match Uuid::parse_str(payload) {
            Ok(id) => self.happened(id),
            Err(_) => self.anything_happened(),
        }
    }
}

/// Lets a connection hear of the changes it makes itself. On a server that takes no changes, or none to listen, there are
/// none to hear of.
pub(super) fn hear_own(connection: &mut PgConnection) {
    let listen = "DO $$ BEGIN EXECUTE format('LISTEN %I', 'keyward_' || pg_backend_pid()); END $$";
    if let Err(error) = connection.batch_execute(listen) {
        tracing::debug!(%error, "cannot listen for changes of this connection");
    }
}

/// Listens for the changes of all instances, for as long as the listener is kept.
pub(super) fn listen(
    url: &SecretString,
    changes: &Arc<InvalidationLog>,
    suspicion: &PoolGeneration,
) -> std::io::Result<Listener> {
    let (changes, suspicion) = (Arc::clone(changes), suspicion.clone());
    Listener::spawn(url, &[CHANNEL], move |event| match event {
        Event::Connected => {
            changes.anything_happened();
            changes.heard_at(Instant::now());
        }
        Event::Alive { asked_at } => changes.heard_at(asked_at),
        Event::Disconnected => {
            suspicion.raise();
            changes.deaf();
        }
        Event::Notified { payload, .. } => changes.take_in_payload(&payload),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn heard(changes: &InvalidationLog) {
        changes.heard_at(Instant::now());
    }

    #[test]
    fn what_was_read_counts_until_it_changes() {
        let changes = InvalidationLog::default();
        heard(&changes);
        let reading = changes.reading();
        assert_eq!(changes.freshness(reading, [id(1), id(2)]), Freshness::Fresh);
        changes.happened(id(3));
        assert_eq!(changes.freshness(reading, [id(1), id(2)]), Freshness::Fresh);
        changes.happened(id(2));
        assert_eq!(changes.freshness(reading, [id(1), id(2)]), Freshness::Stale);
        assert_eq!(changes.freshness(reading, [id(1)]), Freshness::Fresh);
        assert_eq!(changes.freshness(changes.reading(), [id(1), id(2)]), Freshness::Fresh);
        changes.take_in_payload("nonsense");
        assert_eq!(changes.freshness(reading, [id(1)]), Freshness::Stale);
    }

    #[test]
    fn a_change_between_reading_and_remembering_is_not_lost() {
        let changes = InvalidationLog::default();
        heard(&changes);
        let reading = changes.reading();
        changes.happened(id(1));
        assert_eq!(changes.freshness(reading, [id(1)]), Freshness::Stale);
    }

    #[test]
    fn what_was_read_ages_before_it_counts_no_more() {
        let mut changes = InvalidationLog::default();
        let Some(earlier) = changes.started.checked_sub(AGING + Duration::from_millis(1)) else {
            // The machine has not run for as long.
            return;
        };
        let reading = changes.reading();
        heard(&changes);
        assert_eq!(changes.freshness(reading, []), Freshness::Fresh);
        changes.started = earlier;
        heard(&changes);
        assert_eq!(changes.freshness(reading, []), Freshness::Aging);
        assert_eq!(changes.freshness(changes.reading(), []), Freshness::Fresh);
    }

    #[test]
    fn nothing_counts_while_nobody_listens() {
        let changes = InvalidationLog::default();
        let reading = changes.reading();
        assert_eq!(changes.freshness(reading, []), Freshness::Stale);
        heard(&changes);
        assert_eq!(changes.freshness(reading, []), Freshness::Fresh);
        changes.deaf();
        assert_eq!(changes.freshness(reading, []), Freshness::Stale);
    }
}
