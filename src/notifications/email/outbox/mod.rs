//! The queue of e-mails in the database.
//!
//! Any number of instances deliver from it at the same time. A delivery run *claims* rows: it moves their next attempt to the
//! end of a lease and commits; then it sends. Other runs don't see these rows as due before the lease ends, by which time
//! the run is over. The number of attempts distinguishes one claim of a row from the next.

mod announcement;
mod merge;
mod store;

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use tokio::sync::Mutex;
use tokio::time::{Duration, Instant};

use super::Mailer;
use super::compose::{ComposeError, ComposedEmail, Email};
use super::smtp::{self, SendError};
use crate::db::{Db, Tx};
use crate::error::Error;
use crate::notifications::event::Event;
use crate::notifications::text::clean;
use crate::values::locale::Locale;
use store::{Attempt, ClaimedEmail};

pub use announcement::{ANNOUNCEMENT_AUDIENCE, enqueue_announcement};
pub use store::{SWEEP, count_event_since, pending};

/// The number of e-mails that a delivery run claims at a time.
const BATCH: i64 = 20;
/// The number of connections over which a run sends.
const WORKERS: usize = 4;
/// After this time, a run starts to send no further e-mail.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long claimed rows belong to one run.
const LEASE: TimeDelta = TimeDelta::seconds(90);
// The last e-mail is sent before the lease ends, with 20 seconds left for recording the result.
const _: () = assert!(
    START_TIMEOUT.as_secs() + smtp::CONNECT_TIMEOUT.as_secs() + smtp::SEND_TIMEOUT.as_secs() + 20
        < LEASE.num_seconds().unsigned_abs()
);

/// Seconds until the next attempt, after the first, second … attempt; the last value repeats. It bounds how long e-mails wait
/// once the mail server is back.
const RETRY_PAUSES: [i64; 4] = [5, 15, 30, 60];
/// An e-mail that the server has refused for longer than this is retried less often.
const REFUSED_AGE: TimeDelta = TimeDelta::hours(1);
/// The pause between attempts after [`REFUSED_AGE`].
const REFUSED_PAUSE: TimeDelta = TimeDelta::minutes(10);
/// An e-mail that the server refuses permanently is given up after this many attempts.
const MAX_REFUSALS: i32 = 5;
/// An older e-mail is given up (RFC 5321 §4.5.4.1: at least four to five days).
const MAX_AGE: TimeDelta = TimeDelta::days(5);

/// Queues the e-mail about an event. A notice that the address received many times already is held back and merged.
pub fn enqueue(tx: &mut Tx<'_>, recipient: &str, locale: Locale, event: &Event) -> Result<(), Error> {
    match merge::held_until(tx, recipient, event)? {
        Some(until) => merge::enqueue_merged(tx, recipient, locale, event, until),
        None => store::insert(tx, recipient, locale, event),
    }
}

/// Sends the e-mails that are due, and returns how many were sent. A failure to send is recorded in the row and is no error.
///
/// It takes about a minute at most, less when the mail server doesn't reply. If the future is dropped, its rows stay claimed
/// until the lease ends, and an e-mail that was being sent may be sent again: let it finish where possible.
pub async fn deliver_due(db: &Db, now: DateTime<Utc>, mailer: &Mailer) -> Result<usize, Error> {
    let run = DeliveryRun {
        db,
        mailer,
        now,
        started: Instant::now(),
        queue: Mutex::default(),
    };
    let mut sent = 0;
    loop {
        let claimed = run.claim().await?;
        let is_last = i64::try_from(claimed.len()).is_ok_and(|count| count < BATCH);
        if claimed.is_empty() {
            return Ok(sent);
        }
        let delivered = run.deliver(claimed).await?;
        sent += delivered.sent;
        if is_last || delivered.stop {
            return Ok(sent);
        }
    }
}

/// The result of one attempt.
enum Outcome {
    Sent,
    /// Its link does not work any more: it is of no use to the recipient.
    Expired,
    /// The e-mail couldn't be composed, or the server refused it.
    Refused {
        permanent: bool,
        reason: String,
    },
    /// The server couldn't be reached.
    Unreachable {
        reason: String,
    },
}

/// The result of one claimed batch.
struct Delivered {
    sent: usize,
    /// No further batch can be sent: the server is unreachable, or [`START_TIMEOUT`] has passed.
    stop: bool,
}

/// The result of one worker.
struct WorkerResult {
    sent: usize,
    /// The reason why the worker found no connection.
    unreachable: Option<String>,
}

/// One call of [`deliver_due`].
struct DeliveryRun<'a> {
    db: &'a Db,
    mailer: &'a Mailer,
    now: DateTime<Utc>,
    started: Instant,
    /// The claimed e-mails that no worker has taken yet.
    queue: Mutex<VecDeque<ClaimedEmail>>,
}

impl DeliveryRun<'_> {
    /// The instant at which the run started, plus the time since.
    fn now(&self) -> DateTime<Utc> {
        let elapsed = i64::try_from(self.started.elapsed().as_millis()).unwrap_or_default();
        self.now + TimeDelta::milliseconds(elapsed)
    }

    fn is_late(&self) -> bool {
        self.started.elapsed() >= START_TIMEOUT
    }

    async fn claim(&self) -> Result<Vec<ClaimedEmail>, Error> {
        let now = self.now();
        self.db.transaction(now, move |tx| store::claim(tx, BATCH, LEASE)).await
    }

    async fn deliver(&self, claimed: Vec<ClaimedEmail>) -> Result<Delivered, Error> {
        let workers = claimed.len().min(WORKERS);
        self.queue.lock().await.extend(claimed);
        let mut sent = 0;
        let mut unreachable = None;
        for result in join_all((0..workers).map(|_| self.run_worker())).await {
            let result = result?;
            sent += result.sent;
            unreachable = unreachable.or(result.unreachable);
        }
        let unsent: Vec<_> = self.queue.lock().await.drain(..).collect();
        let stop = !unsent.is_empty() || self.is_late();
        match unreachable {
            Some(reason) if !unsent.is_empty() => {
                tracing::warn!(
                    reason,
                    mails = unsent.len(),
                    "no e-mail can be delivered; they are retried"
                );
                for email in unsent {
                    let reason = reason.clone();
                    self.record(&email, Outcome::Unreachable { reason }).await?;
                }
            }
            _ if !unsent.is_empty() => self.release(unsent).await?,
            _ => {}
        }
        Ok(Delivered { sent, stop })
    }

    /// Sends e-mails from the queue until it is empty, the time is over, or the server is unreachable. In the last case the
    /// e-mail returns to the queue: the server may limit connections, so that another worker's connection works.
    async fn run_worker(&self) -> Result<WorkerResult, Error> {
        let mut session = self.mailer.delivery.session();
        let mut result = WorkerResult {
            sent: 0,
            unreachable: None,
        };
        while !self.is_late() {
            let Some(claimed) = self.queue.lock().await.pop_front() else {
                break;
            };
            let composed = match self.compose(&claimed) {
                Ok(composed) => composed,
                Err(outcome) => {
                    self.record(&claimed, outcome).await?;
                    continue;
                }
            };
            let outcome = match session.send(&composed).await {
                Ok(()) => Outcome::Sent,
                Err(SendError::Refused { permanent, reason }) => Outcome::Refused { permanent, reason },
                Err(SendError::Unreachable(reason)) => {
                    self.queue.lock().await.push_front(claimed);
                    result.unreachable = Some(reason);
                    break;
                }
            };
            result.sent += usize::from(matches!(outcome, Outcome::Sent));
            self.record(&claimed, outcome).await?;
        }
        session.close().await;
        Ok(result)
    }

    fn compose(&self, claimed: &ClaimedEmail) -> Result<ComposedEmail, Outcome> {
        let refused = |permanent, error: &dyn std::error::Error| Outcome::Refused {
            permanent,
            reason: clean::line(&error.to_string()),
        };
        // Not permanent: an event that this version doesn't know is sent by the newer version that runs beside it.
        let event: Event = serde_json::from_value(claimed.event.clone()).map_err(|error| refused(false, &error))?;
        if let Some((link, _)) = event.link()
            && claimed.created_at + link.lifetime() <= self.now()
        {
            return Err(Outcome::Expired);
        }
        let email = Email {
            id: claimed.id,
            recipient: claimed.recipient.clone(),
            locale: claimed.locale,
            event,
            created_at: claimed.created_at,
            merged: claimed.merged,
        };
        let composed = self.mailer.composer.compose(&email, self.mailer.delivery.encoding());
        composed.map_err(|error| refused(matches!(error, ComposeError::Recipient(_)), &error))
    }

    /// Records the result of an attempt. Retried, because an unrecorded e-mail is sent again.
    async fn record(&self, email: &ClaimedEmail, outcome: Outcome) -> Result<(), Error> {
        let (id, attempts, now) = (email.id, email.attempts, self.now());
        let attempt = attempt_of(email, outcome, now);
        let mut tries = 0;
        loop {
            tries += 1;
            let attempt = attempt.clone();
            match self
                .db
                .transaction(now, move |tx| store::record(tx, id, attempts, &attempt))
                .await
            {
                Err(_) if tries < 3 => tokio::time::sleep(Duration::from_secs(1)).await,
                result => return result,
            }
        }
    }

    /// Returns claimed e-mails that were not attempted.
    async fn release(&self, emails: Vec<ClaimedEmail>) -> Result<(), Error> {
        let now = self.now();
        let ids: Vec<_> = emails.iter().map(|email| email.id).collect();
        self.db.transaction(now, move |tx| store::release(tx, &ids)).await
    }
}

/// The columns that an attempt changes; logs its result.
fn attempt_of(email: &ClaimedEmail, outcome: Outcome, now: DateTime<Utc>) -> Attempt {
    let result = match &outcome {
        Outcome::Sent => "sent",
        Outcome::Expired => "expired",
        Outcome::Refused { .. } => "refused",
        Outcome::Unreachable { .. } => "unreachable",
    };
    metrics::counter!("keyward_mail_attempts_total", "result" => result).increment(1);
    let (id, event, attempts) = (email.id, email.event_name(), email.attempts);
    let (reason, permanent, refused) = match outcome {
        Outcome::Sent => {
            tracing::debug!(mail = %id, event, attempts, "e-mail sent");
            return Attempt {
                sent_at: Some(now),
                ..Attempt::default()
            };
        }
        Outcome::Expired => {
            tracing::warn!(mail = %id, event, attempts, "e-mail given up: its link has expired");
            return Attempt {
                failed_at: Some(now),
                last_error: Some("the link has expired".to_owned()),
                ..Attempt::default()
            };
        }
        Outcome::Refused { permanent, reason } => (reason, permanent, true),
        Outcome::Unreachable { reason } => (reason, false, false),
    };
    let age = now - email.created_at;
    let given_up = (permanent && attempts >= MAX_REFUSALS) || age > MAX_AGE;
    if given_up {
        tracing::error!(mail = %id, event, attempts, "e-mail given up");
    } else if refused {
        tracing::warn!(mail = %id, event, attempts, "e-mail refused; it is retried");
    }
    Attempt {
        failed_at: given_up.then_some(now),
        next_attempt_at: (!given_up).then(|| now + pause(attempts, refused, age)),
        last_error: Some(reason),
        ..Attempt::default()
    }
}

/// The time until the next attempt, after `attempts` of them.
fn pause(attempts: i32, refused: bool, age: TimeDelta) -> TimeDelta {
    if refused && age > REFUSED_AGE {
        return REFUSED_PAUSE;
    }
    let index = usize::try_from(attempts - 1).unwrap_or_default();
    let [.., last] = RETRY_PAUSES;
    TimeDelta::seconds(RETRY_PAUSES.get(index).copied().unwrap_or(last))
}
