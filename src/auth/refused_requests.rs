//! Requests that were refused with 429, counted in memory: a flood of them must not become a flood of writes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use ipnet::{IpNet, Ipv4Net};
use uuid::Uuid;

use crate::values::{Client, RequestId, network_of_site};

/// The maximum number of counts between two flushes. What exceeds it is counted for [`OTHER_NETWORKS`].
const MAX_COUNTS: usize = 10_000;
const OTHER_NETWORKS: IpNet = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0));

/// Requests that concerned one account, or none, from one network.
#[derive(Clone, Debug)]
pub struct RefusalCount {
    pub account: Option<Uuid>,
    pub network: IpNet,
    pub count: i64,
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
    /// Of the last request.
    pub ip: IpAddr,
    pub request_id: RequestId,
}

type Counts = HashMap<(Option<Uuid>, IpNet), RefusalCount>;

/// The counts since the last [`RefusedRequests::take`]. A clone shares them.
#[derive(Clone, Default)]
pub struct RefusedRequests(Arc<Mutex<Counts>>);

impl RefusedRequests {
    pub fn add(&self, client: &Client, account: Option<Uuid>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (account, network_of_site(client.ip));
        if counts.len() >= MAX_COUNTS && !counts.contains_key(&key) {
            key = (None, OTHER_NETWORKS);
        }
        let refused = counts.entry(key).or_insert_with(|| RefusalCount {
            account: key.0,
            network: key.1,
            count: 0,
            first_at: client.now,
            last_at: client.now,
            ip: client.ip,
            request_id: client.request_id.clone(),
        });
        refused.count += 1;
        refused.last_at = client.now;
        refused.ip = client.ip;
        refused.request_id = client.request_id.clone();
    }

    /// Sorted by account and network, so that two instances that write the same counts don't deadlock.
    pub fn take(&self) -> Vec<RefusalCount> {
        let counts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut counts: Vec<RefusalCount> = counts.into_values().collect();
        counts.sort_by_key(|refused| (refused.account, refused.network));
        counts
    }

    /// Puts back what could not be written; dropped if there is no room.
    pub fn restore(&self, refused: Vec<RefusalCount>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for earlier in refused {
            let key = (earlier.account, earlier.network);
            if let Some(later) = counts.get_mut(&key) {
                later.count += earlier.count;
                later.first_at = earlier.first_at;
            } else if counts.len() < MAX_COUNTS {
                counts.insert(key, earlier);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(ip: Ipv4Addr) -> Client {
        Client {
            now: DateTime::UNIX_EPOCH,
            ip: ip.into(),
            request_id: RequestId::generate(),
            user_agent: None,
        }
    }

    #[test]
    fn requests_from_one_network_are_one_count() {
        let refused = RefusedRequests::default();
        for host in 0..=255 {
            refused.add(&client(Ipv4Addr::new(192, 0, 2, host)), None);
        }
        refused.add(&client(Ipv4Addr::new(192, 0, 2, 1)), Some(Uuid::max()));
        let counts: Vec<i64> = refused.take().iter().map(|refused| refused.count).collect();
        assert_eq!(counts, [256, 1]);
        assert!(refused.take().is_empty());
    }

    #[test]
    fn the_number_of_counts_is_bounded() {
        let refused = RefusedRequests::default();
        for n in 0..20_000_u32 {
            refused.add(&client(Ipv4Addr::from(n << 8)), None);
        }
        let counts = refused.take();
        assert!(counts.len() <= MAX_COUNTS + 1);
        assert_eq!(counts.iter().map(|refused| refused.count).sum::<i64>(), 20_000);
    }
}
