//! The one place that asks what time it is.
//!
//! A request reads the clock once and hands `now` on, so that all its decisions are of one instant; tests hold the clock
//! in their hand and move it. Instants have whole milliseconds, which is what the API shows: what a client reads is
//! exactly what the database compares.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

/// Where `now` comes from.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Milliseconds by which this clock is ahead of the machine's; moved by tests only.
    offset: Arc<AtomicI64>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// The present instant, in whole milliseconds.
    pub fn now(&self) -> DateTime<Utc> {
        #[expect(clippy::disallowed_methods, reason = "the one place that may ask")]
        let now = Utc::now();
        now.trunc_subsecs(3) + TimeDelta::milliseconds(self.offset.load(Ordering::Relaxed))
    }

    /// Moves this clock, and every clone of it, ahead. For tests of what happens later.
    pub fn advance(&self, by: TimeDelta) {
        self.offset.fetch_add(by.num_milliseconds(), Ordering::Relaxed);
    }
}
