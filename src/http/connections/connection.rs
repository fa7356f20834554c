//! The state of one connection. Its stream and the middleware change it on the thread of the connection; the registry reads it
//! on any thread.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;

/// What may be read beyond the request that is being handled. A little is read, because reading is how a disconnected
/// client is noticed, whose request is then cancelled.
const READ_AHEAD: usize = 256;
/// What may be read of a body whose length is not known in advance: more than any operation accepts.
const MAX_CHUNKED_BODY: usize = 4 * 1024 * 1024;

/// What the client is expected to do next, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// To begin a request.
    ForRequest(Instant),
    /// To send the rest of the head of a request.
    ForHead(Instant),
    /// To take a part of a response.
    ForReader(Instant),
    /// Nothing: the service handles a request of the client.
    No,
}

/// Shared by the stream of a connection, the requests on it, and the registry of all connections.
#[derive(Debug)]
pub struct Connection {
    opened_at: Instant,
    has_request: AtomicBool,
    has_partial_head: AtomicBool,
    /// When the last request ended or the head of the next one began, in milliseconds after `opened_at`.
    idle_since: AtomicU64,
    /// When the client stopped reading, in milliseconds after `opened_at`; 0 while it reads.
    blocked_since: AtomicU64,
    /// How many bytes may be read until the current request ends.
    allowance: AtomicUsize,
    /// The allowance is used up: the end of the request has to wake the task.
    paused: AtomicBool,
    closing: AtomicBool,
    task: AtomicWaker,
}

impl Connection {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            opened_at: now,
            has_request: AtomicBool::new(false),
            has_partial_head: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            blocked_since: AtomicU64::new(0),
            allowance: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            task: AtomicWaker::new(),
        }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.opened_at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn instant(&self, millis: u64) -> Instant {
        self.opened_at + Duration::from_millis(millis)
    }

    pub(super) fn waiting(&self) -> Waiting {
        let blocked_since = self.blocked_since.load(Ordering::Acquire);
        let idle_since = self.instant(self.idle_since.load(Ordering::Acquire));
        if blocked_since > 0 {
            Waiting::ForReader(self.instant(blocked_since))
        } else if self.has_request.load(Ordering::Acquire) {
            Waiting::No
        } else if self.has_partial_head.load(Ordering::Acquire) {
            Waiting::ForHead(idle_since)
        } else {
            Waiting::ForRequest(idle_since)
        }
    }

    /// A request of at most `body_length` bytes begins; `None` if the length is not known.
    pub(in crate::http) fn begin_request(&self, body_length: Option<usize>) {
        let body_length = body_length.unwrap_or(MAX_CHUNKED_BODY).min(MAX_CHUNKED_BODY);
        self.allowance.store(READ_AHEAD + body_length, Ordering::Relaxed);
        self.closing.store(false, Ordering::Release);
        self.has_request.store(true, Ordering::Release);
    }

    /// The response is complete, except for what the stream has not written yet.
    pub(in crate::http) fn end_request(&self) {
        self.idle_since.store(self.millis(), Ordering::Release);
        self.has_partial_head.store(false, Ordering::Release);
        self.has_request.store(false, Ordering::Release);
        if self.paused.swap(false, Ordering::Relaxed) {
            self.task.wake();
        }
    }

    /// Ends the connection, unless a request begins at the same moment.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.task.wake();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Whether the task must give up the connection now.
    pub(super) fn must_end(&self) -> bool {
        self.is_closing() && self.waiting() != Waiting::No
    }

    pub(super) fn register(&self, context: &std::task::Context<'_>) {
        self.task.register(context.waker());
    }

    /// How many bytes the task may read now; `None` if no request limits them.
    pub(super) fn allowance(&self) -> Option<usize> {
        if self.blocked_since.load(Ordering::Relaxed) > 0 {
            return Some(0);
        }
        let has_request = self.has_request.load(Ordering::Relaxed);
        has_request.then(|| self.allowance.load(Ordering::Relaxed))
    }

    /// The task stops reading until the request ends.
    pub(super) fn pause(&self) {
        self.paused.store(true, Ordering::Relaxed);
    }

    pub(super) fn record_read(&self, bytes: usize) {
        if self.has_request.load(Ordering::Relaxed) {
            let rest = self.allowance.load(Ordering::Relaxed).saturating_sub(bytes);
            self.allowance.store(rest, Ordering::Relaxed);
        } else if !self.has_partial_head.load(Ordering::Relaxed) {
            self.idle_since.store(self.millis(), Ordering::Release);
            self.has_partial_head.store(true, Ordering::Release);
        }
    }

    /// The client does not take what is written. Returns whether this is new.
    pub(super) fn block(&self) -> bool {
        let is_new = self.blocked_since.load(Ordering::Relaxed) == 0;
        if is_new {
            self.blocked_since.store(self.millis().max(1), Ordering::Release);
        }
        is_new
    }

    /// The client has taken everything. Returns whether it had not before.
    pub(super) fn unblock(&self) -> bool {
        let was_blocked = self.blocked_since.load(Ordering::Relaxed) > 0;
        if was_blocked {
            self.blocked_since.store(0, Ordering::Release);
        }
        was_blocked
    }
}
