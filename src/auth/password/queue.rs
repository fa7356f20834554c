//! Limits how many requests work on a password at once.
//!
//! Each takes tens of milliseconds of a core, and those beyond the cores wait. A request that would wait too long is refused
//! at once, before it has recorded an attempt, so that being refused costs neither the client nor the service anything.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;

use crate::error::Error;
use crate::observability::refusals::Refused;
use crate::values::network_of;

/// The longest wait that a request is admitted to.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// A refused login hashes twice, so that it takes as long whether or not the account exists.
const HASHES_PER_REQUEST: u64 = 2;
/// The most places, however quick the hashes are: each request also holds memory.
const MAX_PLACES: u64 = 1000;

/// The requests that are admitted.
#[derive(Debug)]
pub(super) struct Queue {
    threads: u64,
    /// The moving average of the duration of a hash, in microseconds.
    hash_micros: AtomicU64,
    limit_networks: bool,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    total: u64,
    per_network: HashMap<IpNet, u64>,
}

impl Queue {
    pub fn new(threads: usize, expected_hash_time: Duration, limit_networks: bool) -> Self {
        Self {
            threads: u64::try_from(threads).unwrap_or(1),
            hash_micros: AtomicU64::new(micros(expected_hash_time)),
            limit_networks,
            places: Mutex::default(),
        }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn record_hash(&self, took: Duration) {
        let average = self.hash_micros.load(Ordering::Relaxed);
        let average = (average * 7 + micros(took)) / 8;
        self.hash_micros.store(average.max(1), Ordering::Relaxed);
    }

    fn max_places(&self) -> u64 {
        let micros_per_request = self.hash_micros.load(Ordering::Relaxed) * HASHES_PER_REQUEST;
        let within_wait = micros(MAX_WAIT) * self.threads / micros_per_request.max(1);
        within_wait.clamp(self.threads * 2, MAX_PLACES.max(self.threads * 2))
    }

    pub fn reserve(self: &Arc<Self>, ip: IpAddr) -> Result<Place, Error> {
        let network = network_of(ip);
        let maximum = self.max_places();
        let mut places = self.places();
        let of_network = places.per_network.get(&network).copied().unwrap_or_default();
        // One network leaves half of the places to the others.
        if self.limit_networks && of_network >= maximum / 2 {
            Refused::ByPasswordQueue.count();
            return Err(Error::rate_limited(
                "default",
                maximum / 2,
                MAX_WAIT.as_secs(),
                MAX_WAIT.as_secs(),
            ));
        }
        if places.total >= maximum {
            Refused::ByPasswordQueue.count();
            let error = Error::unavailable("too many requests wait for the check of a password");
            return Err(error.retry_after(MAX_WAIT.as_secs()));
        }
        places.total += 1;
        places.per_network.insert(network, of_network + 1);
        Ok(Place {
            queue: Arc::clone(self),
            network,
        })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1)
}

/// An admitted request; dropping it makes place for another.
#[derive(Debug)]
pub struct Place {
    queue: Arc<Queue>,
    network: IpNet,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.queue.places();
        places.total -= 1;
        if let Some(of_network) = places.per_network.get_mut(&self.network) {
            *of_network -= 1;
            if *of_network == 0 {
                places.per_network.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn queue(limit_networks: bool) -> Arc<Queue> {
        // Two threads, 100 ms a hash: 2 s × 2 / (2 × 100 ms) = 20 places.
        Arc::new(Queue::new(2, Duration::from_millis(100), limit_networks))
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn requests_that_would_wait_too_long_are_refused_until_others_end() {
        let queue = queue(false);
        let mut places: Vec<Place> = (0..20).map(|_| queue.reserve(ip(1)).unwrap()).collect();
        let refused = queue.reserve(ip(2)).unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        assert_eq!(refused.headers().retry_after, Some(2));
        places.pop();
        queue.reserve(ip(2)).unwrap();
    }

    #[test]
    fn one_network_leaves_half_of_the_places_to_the_others() {
        let queue = queue(true);
        let of_one: Vec<Place> = (0..10).map(|_| queue.reserve(ip(1)).unwrap()).collect();
        assert_eq!(queue.reserve(ip(1)).unwrap_err().code(), Code::RateLimited);
        queue.reserve(ip(2)).unwrap();
        drop(of_one);
        queue.reserve(ip(1)).unwrap();
    }

    #[test]
    fn slow_hashes_reduce_the_places() {
        let queue = queue(false);
        for _ in 0..100 {
            queue.record_hash(Duration::from_millis(400));
        }
        assert_eq!(queue.max_places(), 5);
        for _ in 0..200 {
            queue.record_hash(Duration::from_micros(1));
        }
        assert_eq!(queue.max_places(), MAX_PLACES);
    }
}
