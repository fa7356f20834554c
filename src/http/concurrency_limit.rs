//! A limit of expensive requests at a time, per user and per instance.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::observability::refusals::Refused;
use crate::values::ids::UserId;

/// Cheap to clone; clones share the limit.
#[derive(Clone)]
pub struct ConcurrencyLimit {
    /// The name of the policy in the `RateLimit` headers.
    name: &'static str,
    per_user: usize,
    max: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    by_user: HashMap<UserId, usize>,
    total: usize,
}

/// The right to perform one request. Dropping it lets the next one in.
pub struct Slot {
    user_id: UserId,
    taken: Arc<Mutex<Taken>>,
}

impl ConcurrencyLimit {
    pub fn new(name: &'static str, per_user: usize, max: usize) -> Self {
        Self {
            name,
            per_user,
            max,
            taken: Arc::default(),
        }
    }

    /// # Errors
    /// `rate_limited` while the user has as many slots as one may; `unavailable` while all slots are taken.
    pub fn enter(&self, user_id: UserId) -> Result<Slot, Error> {
        let mut taken = lock(&self.taken);
        let of_user = taken.by_user.get(&user_id).copied().unwrap_or_default();
        if of_user >= self.per_user {
            Refused::ByConcurrency.count();
            return Err(Error::too_many_at_once(self.name, self.per_user));
        }
        if taken.total >= self.max {
            Refused::ByConcurrency.count();
            return Err(Error::unavailable(format!("all slots for {} are taken", self.name)));
        }
        taken.by_user.insert(user_id, of_user + 1);
        taken.total += 1;
        Ok(Slot {
            user_id,
            taken: Arc::clone(&self.taken),
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.total -= 1;
        match taken.by_user.get_mut(&self.user_id) {
            Some(of_user) if *of_user > 1 => *of_user -= 1,
            _ => drop(taken.by_user.remove(&self.user_id)),
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn a_user_has_a_few_slots_and_all_users_share_some() {
        let limit = ConcurrencyLimit::new("exports", 2, 3);
        let [ada, bob, carol] = [1, 2, 3].map(|id| UserId::from(uuid::Uuid::from_u128(id)));
        let code = |user| limit.enter(user).err().map(|error| error.code());
        let slots = [limit.enter(ada).unwrap(), limit.enter(ada).unwrap()];
        assert_eq!(code(ada), Some(Code::RateLimited));
        let _other = limit.enter(bob).unwrap();
        assert_eq!(code(carol), Some(Code::Unavailable));
        drop(slots);
        assert_eq!(code(carol), None);
        assert_eq!(lock(&limit.taken).by_user.len(), 1);
    }
}
