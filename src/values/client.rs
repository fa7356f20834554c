//! The client of a request.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};

/// What a request is called in the answer, the log and the audit record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The client's own id, if it matches `^[A-Za-z0-9_-]{8,64}$`.
    pub fn parse(given: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        ((8..=64).contains(&given.len()) && given.bytes().all(allowed)).then(|| Self(given.into()))
    }

    /// One that no other request has. It is no secret, so that randomness is drawn once and not for each.
    pub fn generate() -> Self {
        static FIRST: OnceLock<(u64, AtomicU64)> = OnceLock::new();
        let (process, next) = FIRST.get_or_init(|| {
            let (process, first) = uuid::Uuid::new_v4().as_u64_pair();
            (process, AtomicU64::new(first))
        });
        let number = next.fetch_add(1, Ordering::Relaxed);
        let id = (u128::from(*process) << 64) | u128::from(number);
        let mut text = [0; uuid::fmt::Simple::LENGTH];
        Self((&*uuid::Uuid::from_u128(id).simple().encode_lower(&mut text)).into())
    }

    /// The id, to be kept.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The client of a request, and the instant the request is decided at.
#[derive(Clone, Debug)]
pub struct Client {
    /// The one instant of all decisions of this request.
    pub now: DateTime<Utc>,
    /// Network address: the peer's, or behind trusted proxies the right-most one that is not theirs.
    pub ip: IpAddr,
    /// The request's id.
    pub request_id: RequestId,
    /// `User-Agent`, cut to 256 characters, without what steers a terminal.
    pub user_agent: Option<Arc<str>>,
}
