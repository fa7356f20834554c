//! Limits of rate on public endpoints, by network address: they bound what a stranger can make the service do.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::error::Error;

/// Requests an address may make at once.
const BURST: NonZeroU32 = NonZeroU32::new(300).unwrap();
/// Requests a second with which that fills up again.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// In how many seconds it is full again.
const WINDOW_SECONDS: u64 = 60;

/// Counts requests of each address, unless limits are switched off.
#[derive(Clone)]
pub struct RateLimit(Option<Arc<DefaultKeyedRateLimiter<IpAddr>>>);

impl RateLimit {
    /// Counts, if `enabled`.
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
        // An IPv6 host has a whole network of addresses (RFC 4291 §2.5.4): it counts as one.
        let key = match ip {
            IpAddr::V4(_) => ip,
            IpAddr::V6(v6) => IpAddr::from((u128::from(v6) & !u128::from(u64::MAX)).to_be_bytes()),
        };
        limiter.check_key(&key).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            Error::rate_limited(BURST.get().into(), WINDOW_SECONDS, wait.as_secs() + 1)
        })
    }

    /// Forgets addresses that have not called for a while.
    pub fn sweep(&self) {
        if let Some(limiter) = &self.0 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}
