//! The rate limit of public endpoints, by network: it bounds the work that anonymous clients can cause.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;

use crate::error::Error;
use crate::observability::refusals::Refused;
use crate::values::network_of;

/// Requests that a network may make at once.
const BURST: NonZeroU32 = NonZeroU32::new(300).unwrap();
/// Requests per second by which the burst is restored.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// After how many seconds a used-up burst is fully restored.
const WINDOW_SECONDS: u64 = 60;

/// `None` with `KEYWARD_RATE_LIMITS=off`.
#[derive(Clone)]
pub struct RateLimit(Option<Arc<DefaultKeyedRateLimiter<IpNet>>>);

impl RateLimit {
    pub fn new(enabled: bool) -> Self {
        let quota = Quota::per_second(PER_SECOND).allow_burst(BURST);
        Self(enabled.then(|| Arc::new(RateLimiter::keyed(quota))))
    }

    /// Counts one request.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn check(&self, ip: IpAddr) -> Result<(), Error> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        limiter.check_key(&network_of(ip)).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            Refused::ByRequestRate.count();
            Error::rate_limited("default", BURST.get().into(), WINDOW_SECONDS, wait.as_secs() + 1)
        })
    }

    /// Removes the counters of networks whose burst is restored.
    pub fn sweep(&self) {
        if let Some(limiter) = &self.0 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}
