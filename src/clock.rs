//! The only module that reads the system clock.
//!
//! A request reads the clock once and passes `now` on, so that everything it decides refers to the same instant. Tests
//! advance the clock. Instants are truncated to milliseconds, the precision of the API: clients see exactly the values
//! that the database compares.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

/// Clones share the offset.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// In milliseconds, relative to the system clock; 0 except in tests.
    offset: Arc<AtomicI64>,
}

impl Clock {
    pub fn system() -> Self {
        Self::default()
    }

    pub fn now(&self) -> DateTime<Utc> {
        #[expect(clippy::disallowed_methods, reason = "the only place that reads the clock")]
        let now = Utc::now();
        now.trunc_subsecs(3) + TimeDelta::milliseconds(self.offset.load(Ordering::Relaxed))
    }

    /// Only for tests.
    pub fn advance(&self, by: TimeDelta) {
        self.offset.fetch_add(by.num_milliseconds(), Ordering::Relaxed);
    }
}
