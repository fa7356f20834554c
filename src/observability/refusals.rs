//! Counts what the limits refuse.

/// A limit that refuses requests or connections.
#[derive(Clone, Copy, Debug)]
pub enum Refused {
    ByPasswordThrottle,
    ByPasswordQueue,
    ByRequestRate,
    ByWriteLimit,
    ByMailLimit,
    ByConnectionLimit,
    ByIdempotencyKeys,
    ByConcurrency,
}

impl Refused {
    const ALL: [Self; 8] = [
        Self::ByPasswordThrottle,
        Self::ByPasswordQueue,
        Self::ByRequestRate,
        Self::ByWriteLimit,
        Self::ByMailLimit,
        Self::ByConnectionLimit,
        Self::ByIdempotencyKeys,
        Self::ByConcurrency,
    ];

    const fn policy(self) -> &'static str {
        match self {
            Self::ByPasswordThrottle => "password_throttle",
            Self::ByPasswordQueue => "password_queue",
            Self::ByRequestRate => "request_rate",
            Self::ByWriteLimit => "writes",
            Self::ByMailLimit => "mail",
            Self::ByConnectionLimit => "connections",
            Self::ByIdempotencyKeys => "idempotency_keys",
            Self::ByConcurrency => "concurrency",
        }
    }

    fn counter(self) -> metrics::Counter {
        metrics::counter!("keyward_refused_total", "policy" => self.policy())
    }

    pub fn count(self) {
        self.counter().increment(1);
    }
}

/// Makes the counters appear with 0, so that the first refusal is an increase.
pub fn register() {
    for refused in Refused::ALL {
        refused.counter().increment(0);
    }
}
