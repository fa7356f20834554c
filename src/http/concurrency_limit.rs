//! A limit of expensive requests at a time: one per user, a few per instance.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::values::ids::UserId;

/// Cheap to clone; clones share the limit.
#[derive(Clone)]
pub struct ConcurrencyLimit {
    name: &'static str,
    max: usize,
    users: Arc<Mutex<HashSet<UserId>>>,
}

/// The right to perform one request. Dropping it lets the next one in.
pub struct Slot {
    user_id: UserId,
    users: Arc<Mutex<HashSet<UserId>>>,
}

impl ConcurrencyLimit {
    /// `name` is that of the policy in the `RateLimit` headers, `max` the limit per instance.
    pub fn new(name: &'static str, max: usize) -> Self {
        Self {
            name,
            max,
            users: Arc::default(),
        }
    }

    /// # Errors
    /// `rate_limited` while the user has a slot; `unavailable` while all slots are taken.
    pub fn enter(&self, user_id: UserId) -> Result<Slot, Error> {
        let mut users = lock(&self.users);
        if users.contains(&user_id) {
            return Err(Error::one_at_a_time(self.name));
        }
        if users.len() >= self.max {
            return Err(Error::unavailable(format!("all slots for {} are taken", self.name)));
        }
        users.insert(user_id);
        Ok(Slot {
            user_id,
            users: Arc::clone(&self.users),
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.users).remove(&self.user_id);
    }
}

fn lock(users: &Mutex<HashSet<UserId>>) -> MutexGuard<'_, HashSet<UserId>> {
    users.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn a_user_has_one_slot_and_all_users_share_a_few() {
        let limit = ConcurrencyLimit::new("exports", 2);
        let [ada, bob, carol] = [1, 2, 3].map(|id| UserId::from(uuid::Uuid::from_u128(id)));
        let code = |user| limit.enter(user).err().map(|error| error.code());
        let slot = limit.enter(ada).unwrap();
        assert_eq!(code(ada), Some(Code::RateLimited));
        let _other = limit.enter(bob).unwrap();
        assert_eq!(code(carol), Some(Code::Unavailable));
        drop(slot);
        assert_eq!(code(carol), None);
    }
}
