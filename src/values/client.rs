//! The client and the id of a request.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};

/// Names a request in the response (`X-Request-Id`), the log and the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Accepts an id from a client if it matches `^[A-Za-z0-9_-]{8,64}$`.
    pub fn parse(given: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        ((8..=64).contains(&given.len()) && given.bytes().all(allowed)).then(|| Self(given.into()))
    }

    /// A new id: a random number for the process and a counter. Request ids are not secret, so one call of the system's
    /// random generator per process is enough.
    pub fn generate() -> Self {
        static FIRST: OnceLock<(u64, AtomicU64)> = OnceLock::new();
        let (process, next) = FIRST.get_or_init(|| {
            let (process, first) = uuid::Uuid::new_v4().as_u64_pair();
            (process, AtomicU64::new(first))
        });
        let counter = next.fetch_add(1, Ordering::Relaxed);
        let id = (u128::from(*process) << 64) | u128::from(counter);
        let mut text = [0; uuid::fmt::Simple::LENGTH];
        Self((&*uuid::Uuid::from_u128(id).simple().encode_lower(&mut text)).into())
    }

    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The client of a request, and the instant at which the request arrived.
#[derive(Clone, Debug)]
pub struct Client {
    /// Read from the clock once, so that all checks of a request use the same instant.
    pub now: DateTime<Utc>,
    /// The address of the peer or, if that is a trusted proxy, the right-most untrusted address of `X-Forwarded-For`.
    pub ip: IpAddr,
    pub request_id: RequestId,
    /// `User-Agent` without control characters, cut to 256 characters.
    pub user_agent: Option<Arc<str>>,
}
