//! Which API keys were used, gathered in memory until the worker writes it down: a use waits for nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, NaiveDate, Utc};

use crate::values::ids::ApiKeyId;

/// Over how many locks the keys are spread.
const SHARDS: usize = 16;
/// Most keys behind one lock: while the database is away, what cannot be kept is lost.
const ROOM: usize = 16_384;

/// How often a key was used on a day, and how often in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How often it was shown.
    pub requests: i64,
    /// How often of these it was refused.
    pub denied: i64,
}

/// The uses of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// When, and from where, it was last used with success.
    pub last: Option<(DateTime<Utc>, Option<IpAddr>)>,
    /// How often, by day (in UTC).
    pub days: Vec<(NaiveDate, Count)>,
}

impl Uses {
    fn add(&mut self, date: NaiveDate, more: Count) {
        match self.days.iter_mut().find(|(day, _)| *day == date) {
            Some((_, count)) => {
                count.requests += more.requests;
                count.denied += more.denied;
            }
            None => self.days.push((date, more)),
        }
    }

    fn merge(&mut self, other: Self) {
        if other.last.map(|(at, _)| at) > self.last.map(|(at, _)| at) {
            self.last = other.last;
        }
        for (date, count) in other.days {
            self.add(date, count);
        }
    }
}

/// What was gathered since it was last written down.
pub struct Usage {
    shards: Vec<Mutex<HashMap<ApiKeyId, Uses>>>,
    /// Whoever writes it down does so alone.
    pub turn: tokio::sync::Mutex<()>,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            turn: tokio::sync::Mutex::default(),
        }
    }
}

impl Usage {
    fn with<T>(&self, id: ApiKeyId, work: impl FnOnce(&mut HashMap<ApiKeyId, Uses>) -> T) -> Option<T> {
        let (_, low) = id.uuid().as_u64_pair();
        let shard = self.shards.get(usize::try_from(low).unwrap_or_default() % SHARDS)?;
        Some(work(&mut shard.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// A key was shown.
    pub fn record(&self, id: ApiKeyId, now: DateTime<Utc>, ip: Option<IpAddr>, denied: bool) {
        let uses = Uses {
            last: (!denied).then_some((now, ip)),
            days: Vec::new(),
        };
        let count = Count {
            requests: 1,
            denied: i64::from(denied),
        };
        self.with(id, |keys| {
            let is_full = keys.len() >= ROOM;
            match keys.entry(id) {
                Entry::Occupied(mut known) => {
                    known.get_mut().merge(uses);
                    known.get_mut().add(now.date_naive(), count);
                }
                Entry::Vacant(_) if is_full => metrics::counter!("keyward_api_key_uses_lost_total").increment(1),
                Entry::Vacant(place) => place.insert(uses).add(now.date_naive(), count),
            }
        });
    }

    /// When, and from where, a key was last used, as far as that is not written down.
    pub fn last_use(&self, id: ApiKeyId) -> Option<(DateTime<Utc>, Option<IpAddr>)> {
        self.with(id, |keys| keys.get(&id).and_then(|uses| uses.last)).flatten()
    }

    /// Hands over all that was gathered, in the order of the keys' ids.
    pub fn take(&self) -> Vec<(ApiKeyId, Uses)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(std::mem::take(
                &mut *shard.lock().unwrap_or_else(PoisonError::into_inner),
            ));
        }
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }

    /// Takes back what could not be written down.
    pub fn put_back(&self, all: impl IntoIterator<Item = (ApiKeyId, Uses)>) {
        for (id, uses) in all {
            self.with(id, |keys| match keys.entry(id) {
                Entry::Occupied(mut known) => known.get_mut().merge(uses),
                Entry::Vacant(place) => {
                    place.insert(uses);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn uses_add_up_and_what_is_put_back_is_kept() {
        let usage = Usage::default();
        let now = crate::clock::Clock::system().now();
        let (id, ip) = (ApiKeyId::new(now), Some(IpAddr::from([127, 0, 0, 1])));
        usage.record(id, now, ip, false);
        usage.record(id, now + TimeDelta::seconds(1), None, true);
        assert_eq!(usage.last_use(id), Some((now, ip)));
        let taken = usage.take();
        assert_eq!(usage.last_use(id), None);
        usage.record(id, now - TimeDelta::days(1), None, false);
        usage.put_back(taken);
        let taken = usage.take();
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].1.last, Some((now, ip)));
        let total: i64 = taken[0].1.days.iter().map(|(_, count)| count.requests).sum();
        assert_eq!((total, taken[0].1.days.len()), (3, 2));
        assert!(usage.take().is_empty());
    }
}
