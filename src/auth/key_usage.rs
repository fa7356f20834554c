//! Uses of API keys, counted in memory until the worker writes them to the database in batches
//! (`api_keys::flush_usage`, once a second). A request that uses a key takes one short lock and never waits for the
//! database.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, Utc};

use crate::values::ids::ApiKeyId;

/// Keys are spread over this many locks, so that requests with different keys rarely wait for the same one.
const SHARDS: usize = 16;
/// Bounds the use of memory while the database is unavailable. The uses of further keys are dropped, and counted in
/// `keyward_api_key_uses_lost_total`.
const MAX_KEYS_PER_SHARD: usize = 16_384;

/// How long the last use of a key stays in memory after it was taken to be written. A request that read the key before the
/// commit of the flush, and looks for later uses in memory after it, must still find them.
const LAST_USE_RETENTION: Duration = Duration::from_secs(10);

/// The uses of a key on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayCount {
    /// All uses, denied ones included.
    pub requests: i64,
    pub denied: i64,
}

/// The last use that was not denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastUse {
    pub at: DateTime<Utc>,
    /// `None` if a service verified the key without sending the address of its client.
    pub ip: Option<IpAddr>,
}

/// The uses of one key that are not yet written to the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PendingUsage {
    pub last: Option<LastUse>,
    /// By day in UTC. A list, because it rarely has more than one entry.
    pub days: Vec<(NaiveDate, DayCount)>,
}

impl PendingUsage {
    fn add(&mut self, date: NaiveDate, more: DayCount) {
        match self.days.iter_mut().find(|(day, _)| *day == date) {
            Some((_, count)) => {
                count.requests += more.requests;
                count.denied += more.denied;
            }
            None => self.days.push((date, more)),
        }
    }

    fn set_last(&mut self, last: Option<LastUse>) {
        if last.map(|last| last.at) > self.last.map(|last| last.at) {
            self.last = last;
        }
    }

    fn merge(&mut self, other: Self) {
        self.set_last(other.last);
        for (date, count) in other.days {
            self.add(date, count);
        }
    }
}

/// The uses of a key in memory.
#[derive(Default)]
struct Tracked {
    /// Without days: everything was taken.
    usage: PendingUsage,
    taken_at: Option<Instant>,
}

impl Tracked {
    fn is_pending(&self) -> bool {
        !self.usage.days.is_empty()
    }

    /// Takes what is not written yet, and keeps the last use.
    fn take(&mut self) -> Option<PendingUsage> {
        let taken = self.is_pending().then(|| PendingUsage {
            last: self.usage.last,
            days: std::mem::take(&mut self.usage.days),
        })?;
        self.taken_at = Some(Instant::now());
        Some(taken)
    }

    fn is_outdated(&self) -> bool {
        !self.is_pending() && self.taken_at.is_none_or(|at| at.elapsed() > LAST_USE_RETENTION)
    }
}

/// The uses of all keys that are not yet written to the database.
pub struct KeyUsage {
    shards: Vec<Mutex<HashMap<ApiKeyId, Tracked>>>,
    /// Held during a flush, so that a flush that finds nothing to do returns only after the one in progress has
    /// committed: usage reports and the shutdown rely on it.
    pub flush_lock: tokio::sync::Mutex<()>,
}

impl Default for KeyUsage {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            flush_lock: tokio::sync::Mutex::default(),
        }
    }
}

impl KeyUsage {
    fn with_shard<T>(&self, id: ApiKeyId, work: impl FnOnce(&mut HashMap<ApiKeyId, Tracked>) -> T) -> Option<T> {
        // The low half of an id is random: it spreads keys evenly.
        let (_, low) = id.uuid().as_u64_pair();
        let shard = self.shards.get(usize::try_from(low).unwrap_or_default() % SHARDS)?;
        Some(work(&mut shard.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Counts one use of a key.
    pub fn record(&self, id: ApiKeyId, now: DateTime<Utc>, ip: Option<IpAddr>, denied: bool) {
        let last = (!denied).then_some(LastUse { at: now, ip });
        let count = DayCount {
            requests: 1,
            denied: i64::from(denied),
        };
        self.with_shard(id, |keys| {
            if keys.len() >= MAX_KEYS_PER_SHARD && !keys.contains_key(&id) {
                keys.retain(|_, tracked| tracked.is_pending());
            }
            let is_full = keys.len() >= MAX_KEYS_PER_SHARD;
            let tracked = match keys.entry(id) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(_) if is_full => {
                    metrics::counter!("keyward_api_key_uses_lost_total").increment(1);
                    return;
                }
                Entry::Vacant(entry) => entry.insert(Tracked::default()),
            };
            tracked.usage.set_last(last);
            tracked.usage.add(now.date_naive(), count);
        });
    }

    /// The last use of a key, if it was not yet written to the database, or only lately.
    pub fn last_use(&self, id: ApiKeyId) -> Option<LastUse> {
        self.with_shard(id, |keys| keys.get(&id).and_then(|tracked| tracked.usage.last))
            .flatten()
    }

    /// Returns everything that was not taken yet, ordered by key.
    pub fn take(&self) -> Vec<(ApiKeyId, PendingUsage)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let mut keys = shard.lock().unwrap_or_else(PoisonError::into_inner);
            keys.retain(|id, tracked| {
                all.extend(tracked.take().map(|usage| (*id, usage)));
                !tracked.is_outdated()
            });
        }
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }

    /// Puts back what could not be written to the database.
    pub fn restore(&self, all: impl IntoIterator<Item = (ApiKeyId, PendingUsage)>) {
        for (id, usage) in all {
            self.with_shard(id, |keys| keys.entry(id).or_default().usage.merge(usage));
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn uses_add_up_and_survive_a_failed_flush() {
        let usage = KeyUsage::default();
        let now = crate::clock::Clock::system().now();
        let (id, ip) = (ApiKeyId::new(now), Some(IpAddr::from([127, 0, 0, 1])));
        let last = Some(LastUse { at: now, ip });
        usage.record(id, now, ip, false);
        usage.record(id, now + TimeDelta::seconds(1), None, true);
        assert_eq!(usage.last_use(id), last);
        let taken = usage.take();
        assert_eq!(
            usage.last_use(id),
            last,
            "a request may have read the key before the flush"
        );
        usage.record(id, now - TimeDelta::days(1), None, false);
        usage.restore(taken);
        let taken = usage.take();
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].1.last, last);
        let total: i64 = taken[0].1.days.iter().map(|(_, count)| count.requests).sum();
        assert_eq!((total, taken[0].1.days.len()), (3, 2));
        assert!(usage.take().is_empty());
    }
}
