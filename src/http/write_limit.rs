//! The rate limit of authenticated requests that change something, by user, and the headers about it
//! (draft-ietf-httpapi-ratelimit-headers-10), which every authenticated response has.
//!
//! Counts are in memory: with several instances each has its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use chrono::{DateTime, TimeDelta, Utc};

use crate::error::Error;
use crate::observability::refusals::Refused;
use crate::values::ids::UserId;

/// A window begins with the first request in it.
const WINDOW: TimeDelta = TimeDelta::minutes(5);
/// A lock each, so that cores seldom wait for each other.
const SHARDS: usize = 32;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Cheap to clone; clones share the counts.
#[derive(Clone)]
pub struct WriteLimit(Option<Arc<Counts>>);

struct Counts {
    max: u32,
    policy: String,
    /// `RateLimit` of a user without a window. Copied for each response: cores would contend for the reference count of a
    /// shared value.
    unused: String,
    shards: Vec<Shard>,
}

#[derive(Default)]
struct Shard {
    /// The number of windows, which spares most requests of a service with few writes the lock.
    len: AtomicUsize,
    windows: Mutex<HashMap<UserId, Window>>,
}

#[derive(Clone, Copy)]
struct Window {
    ends_at: DateTime<Utc>,
    used: u32,
}

impl Window {
    fn seconds_left(&self, now: DateTime<Utc>) -> u64 {
        u64::try_from((self.ends_at - now).num_seconds()).unwrap_or_default() + 1
    }
}

impl WriteLimit {
    /// `max`: requests in a window; `None` is no limit.
    pub fn new(max: Option<u32>) -> Self {
        Self(max.map(|max| {
            Arc::new(Counts {
                max,
                policy: format!("\"writes\";q={max};w={}", WINDOW.num_seconds()),
                unused: format!("\"writes\";r={max}"),
                shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            })
        }))
    }

    pub const fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Counts a request.
    ///
    /// # Errors
    /// `rate_limited` until the end of the window.
    pub fn count(&self, user_id: UserId, now: DateTime<Utc>) -> Result<(), Error> {
        let Some(counts) = &self.0 else { return Ok(()) };
        let Some(shard) = counts.shard(user_id) else {
            return Ok(());
        };
        let mut windows = shard.lock();
        let unused = Window {
            ends_at: now + WINDOW,
            used: 0,
        };
        let window = windows.entry(user_id).or_insert(unused);
        if window.ends_at <= now {
            *window = unused;
        }
        if window.used >= counts.max {
            let limit = counts.max.into();
            let seconds = WINDOW.num_seconds().unsigned_abs();
            Refused::ByWriteLimit.count();
            return Err(Error::rate_limited("writes", limit, seconds, window.seconds_left(now)));
        }
        window.used += 1;
        shard.len.store(windows.len(), Ordering::Relaxed);
        Ok(())
    }

    /// Adds `RateLimit` and `RateLimit-Policy`, unless the response is about another limit.
    pub fn add_headers(&self, headers: &mut HeaderMap, user_id: UserId, now: DateTime<Utc>) {
        let Some(counts) = &self.0 else { return };
        if headers.contains_key(&RATE_LIMIT) {
            return;
        }
        let limit = match counts.window(user_id, now) {
            Some(window) => {
                let remaining = counts.max - window.used;
                let seconds = window.seconds_left(now);
                HeaderValue::try_from(format!("\"writes\";r={remaining};t={seconds}"))
            }
            None => HeaderValue::from_str(&counts.unused),
        };
        if let (Ok(policy), Ok(limit)) = (HeaderValue::from_str(&counts.policy), limit) {
            headers.insert(RATE_LIMIT_POLICY, policy);
            headers.insert(RATE_LIMIT, limit);
        }
    }

    /// Removes windows that have ended.
    pub fn sweep(&self, now: DateTime<Utc>) {
        for shard in self.0.iter().flat_map(|counts| &counts.shards) {
            let mut windows = shard.lock();
            windows.retain(|_, window| window.ends_at > now);
            windows.shrink_to_fit();
            shard.len.store(windows.len(), Ordering::Relaxed);
        }
    }
}

impl Counts {
    /// The last bytes of a UUID v7 are random.
    fn shard(&self, user_id: UserId) -> Option<&Shard> {
        let [.., last] = *user_id.uuid().as_bytes();
        self.shards.get(usize::from(last) % SHARDS)
    }

    fn window(&self, user_id: UserId, now: DateTime<Utc>) -> Option<Window> {
        let shard = self.shard(user_id)?;
        if shard.len.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let window = shard.lock().get(&user_id).copied();
        window.filter(|window| window.ends_at > now)
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn header(limit: &WriteLimit, user_id: UserId, now: DateTime<Utc>) -> Option<String> {
        let mut headers = HeaderMap::new();
        limit.add_headers(&mut headers, user_id, now);
        let value = headers.get(&RATE_LIMIT)?;
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_user_has_so_many_requests_until_the_window_ends() {
        let limit = WriteLimit::new(Some(2));
        let [ada, bob] = [1, 2].map(|id| UserId::from(uuid::Uuid::from_u128(id)));
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(header(&limit, ada, now).as_deref(), Some("\"writes\";r=2"));
        limit.count(ada, now).unwrap();
        let later = now + TimeDelta::minutes(4);
        assert_eq!(header(&limit, ada, later).as_deref(), Some("\"writes\";r=1;t=61"));
        limit.count(ada, later).unwrap();
        assert_eq!(limit.count(ada, later).unwrap_err().code(), Code::RateLimited);
        limit.count(bob, later).unwrap();
        limit.count(ada, now + WINDOW).unwrap();
    }

    #[test]
    fn the_sweep_keeps_only_windows_that_have_not_ended() {
        let limit = WriteLimit::new(Some(2));
        let users: Vec<UserId> = (0..100).map(|id| UserId::from(uuid::Uuid::from_u128(id))).collect();
        let now = DateTime::UNIX_EPOCH;
        for (minute, user) in users.iter().enumerate() {
            limit
                .count(*user, now + TimeDelta::minutes(i64::from(minute >= 50) * 4))
                .unwrap();
        }
        limit.sweep(now + WINDOW);
        let counts = limit.0.unwrap();
        assert_eq!(counts.shards.iter().map(|shard| shard.lock().len()).sum::<usize>(), 50);
        assert_eq!(
            counts
                .shards
                .iter()
                .map(|shard| shard.len.load(Ordering::Relaxed))
                .sum::<usize>(),
            50
        );
    }

    #[test]
    fn without_a_limit_there_are_no_headers() {
        let user_id = UserId::from(uuid::Uuid::nil());
        let limit = WriteLimit::new(None);
        limit.count(user_id, DateTime::UNIX_EPOCH).unwrap();
        assert_eq!(header(&limit, user_id, DateTime::UNIX_EPOCH), None);
    }
}
