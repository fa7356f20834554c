//! The queue of mails, in the database.
//!
//! Any number of instances deliver from it at the same time. A delivery *claims* rows: it moves their next attempt to the
//! end of a lease and commits; only then it sends. Nobody else sees these rows as due before the lease ends, by which time
//! the delivery is over. The count of attempts tells one claim of a row from the next.

mod store;

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use tokio::sync::Mutex;
use tokio::time::{Duration, Instant};

use super::letter::{ComposeError, Outgoing};
use super::message::Message;
use super::smtp::{self, Trouble};
use super::{Mailer, clean};
use crate::db::Db;
use crate::error::Error;
use store::{Claimed, Patch};

pub use store::{count_since, enqueue, sweep};

/// How many mails a delivery claims at a time.
const BATCH: i64 = 20;
/// Over how many connections it sends them.
const LANES: usize = 4;
/// After this long, a delivery begins no other mail.
const START_WITHIN: Duration = Duration::from_secs(30);
/// For how long claimed mails are nobody else's.
const LEASE: TimeDelta = TimeDelta::seconds(90);
// The last mail is over before the lease, with room to spare for writing that down.
const _: () = assert!(
    START_WITHIN.as_secs() + smtp::CONNECT_WITHIN.as_secs() + smtp::SEND_WITHIN.as_secs() + 20
        < LEASE.num_seconds().unsigned_abs()
);

/// Seconds until the next attempt, after the first, second … one; the last stands for all that follow. It bounds how long
/// mails wait once the mail server is back.
const PAUSES: [i64; 4] = [5, 15, 30, 60];
/// A mail that was refused, for the time being, for this long …
const PATIENCE: TimeDelta = TimeDelta::hours(1);
/// … is tried no more often than this: the server is there, but does not want it.
const LONG_PAUSE: TimeDelta = TimeDelta::minutes(10);
/// So many attempts before a server's "never" is believed.
const ATTEMPTS: i32 = 5;
/// Older mails are given up (RFC 5321 §4.5.4.1: four to five days at least).
const GIVE_UP_AFTER: TimeDelta = TimeDelta::days(5);

/// Sends what is due, and answers how many mails were sent. Trouble with mail is written down, not an error.
///
/// It takes at most about a minute, less when the mail server does not answer. Dropped half-way, it leaves its mails to
/// whoever comes after the lease, and one that was just being sent may be sent again: let it finish where that is possible.
///
/// # Errors
/// The database fails.
pub async fn deliver_due(db: &Db, now: DateTime<Utc>, mailer: &Mailer) -> Result<usize, Error> {
    let round = Round {
        db,
        mailer,
        now,
        started: Instant::now(),
        queue: Mutex::default(),
    };
    let mut sent = 0;
    loop {
        let claimed = round.claim().await?;
        let count = claimed.len();
        if count == 0 {
            return Ok(sent);
        }
        let (batch_sent, goes_on) = round.deliver(claimed).await?;
        sent += batch_sent;
        if !goes_on || i64::try_from(count).is_ok_and(|count| count < BATCH) {
            return Ok(sent);
        }
    }
}

/// How one attempt ended.
enum Outcome {
    Sent,
    Failed {
        permanent: bool,
        refused: bool,
        reason: String,
    },
}

/// One call of [`deliver_due`].
struct Round<'a> {
    db: &'a Db,
    mailer: &'a Mailer,
    now: DateTime<Utc>,
    started: Instant,
    /// What is claimed and not tried yet.
    queue: Mutex<VecDeque<Claimed>>,
}

impl Round<'_> {
    /// The present instant: the one the round began with, and the time it has taken.
    fn now(&self) -> DateTime<Utc> {
        let elapsed = i64::try_from(self.started.elapsed().as_millis()).unwrap_or_default();
        self.now + TimeDelta::milliseconds(elapsed)
    }

    fn is_late(&self) -> bool {
        self.started.elapsed() >= START_WITHIN
    }

    async fn claim(&self) -> Result<Vec<Claimed>, Error> {
        let now = self.now();
        self.db.transaction(now, move |tx| store::claim(tx, BATCH, LEASE)).await
    }

    /// Sends what was claimed. Answers how many were, and whether there is any point in claiming more.
    async fn deliver(&self, claimed: Vec<Claimed>) -> Result<(usize, bool), Error> {
        let lanes = claimed.len().min(LANES);
        self.queue.lock().await.extend(claimed);
        let mut sent = 0;
        let mut unreachable = None;
        for end in join_all((0..lanes).map(|_| self.run_lane())).await {
            let (lane_sent, reason) = end?;
            sent += lane_sent;
            unreachable = unreachable.or(reason);
        }
        let left: Vec<_> = self.queue.lock().await.drain(..).collect();
        let goes_on = left.is_empty() && !self.is_late();
        if let Some(reason) = unreachable {
            if !left.is_empty() {
                tracing::warn!(
                    reason,
                    mails = left.len(),
                    "mail cannot be sent now; it will be tried again"
                );
            }
            for mail in left {
                let reason = reason.clone();
                let outcome = Outcome::Failed {
                    permanent: false,
                    refused: false,
                    reason,
                };
                self.settle(&mail, outcome).await?;
            }
        } else if !left.is_empty() {
            self.release(left).await?;
        }
        Ok((sent, goes_on))
    }

    /// Sends one mail after the other until there is none, it is late, or there is no getting through. Answers how many
    /// were sent, and in the last case why it stopped; the mail goes back to the queue then, for another lane may be
    /// connected already where this one was one connection too many.
    async fn run_lane(&self) -> Result<(usize, Option<String>), Error> {
        let mut carrier = self.mailer.transport.carrier();
        let mut sent = 0;
        let mut unreachable = None;
        while !self.is_late() {
            let Some(mail) = self.queue.lock().await.pop_front() else {
                break;
            };
            let letter = match self.compose(&mail) {
                Ok(letter) => letter,
                Err(outcome) => {
                    self.settle(&mail, outcome).await?;
                    continue;
                }
            };
            let outcome = match carrier.carry(&letter).await {
                Ok(()) => Outcome::Sent,
                Err(Trouble::Refused { permanent, reason }) => Outcome::Failed {
                    permanent,
                    refused: true,
                    reason,
                },
                Err(Trouble::Unreachable(reason)) => {
                    self.queue.lock().await.push_front(mail);
                    unreachable = Some(reason);
                    break;
                }
            };
            sent += usize::from(matches!(outcome, Outcome::Sent));
            self.settle(&mail, outcome).await?;
        }
        carrier.close().await;
        Ok((sent, unreachable))
    }

    fn compose(&self, mail: &Claimed) -> Result<super::letter::Letter, Outcome> {
        let failed = |permanent, error: &dyn std::error::Error| Outcome::Failed {
            permanent,
            refused: true,
            reason: clean::text(&error.to_string(), false),
        };
        // A kind this release does not know is one that a newer release, running beside it, will send.
        let message: Message = serde_json::from_value(mail.message.clone()).map_err(|error| failed(false, &error))?;
        let outgoing = Outgoing {
            id: mail.id,
            recipient: mail.recipient.clone(),
            locale: mail.locale,
            message,
            created_at: mail.created_at,
        };
        let encoding = self.mailer.transport.encoding();
        let letter = self.mailer.composer.compose(&outgoing, encoding);
        letter.map_err(|error| failed(matches!(error, ComposeError::Recipient(_)), &error))
    }

    /// Writes down how an attempt ended. Tried more than once, for what is not written down is sent again.
    async fn settle(&self, mail: &Claimed, outcome: Outcome) -> Result<(), Error> {
        let (id, attempts, now) = (mail.id, mail.attempts, self.now());
        let change = match outcome {
            Outcome::Sent => {
                tracing::debug!(mail = %id, kind = mail.kind(), attempts, "mail sent");
                Patch {
                    sent_at: Some(now),
                    ..Patch::default()
                }
            }
            Outcome::Failed {
                permanent,
                refused,
                reason,
            } => {
                let gives_up = (permanent && attempts >= ATTEMPTS) || now - mail.created_at > GIVE_UP_AFTER;
                if gives_up {
                    tracing::error!(mail = %id, kind = mail.kind(), attempts, "mail given up");
                } else if refused {
                    tracing::warn!(mail = %id, kind = mail.kind(), attempts, "mail not taken; it will be tried again");
                }
                Patch {
                    failed_at: gives_up.then_some(now),
                    next_attempt_at: (!gives_up).then(|| now + pause(attempts, refused, now - mail.created_at)),
                    last_error: Some(reason),
                    ..Patch::default()
                }
            }
        };
        let mut tries = 0;
        loop {
            tries += 1;
            let change = change.clone();
            match self
                .db
                .transaction(now, move |tx| store::settle(tx, id, attempts, &change))
                .await
            {
                Err(_) if tries < 3 => tokio::time::sleep(Duration::from_secs(1)).await,
                result => return result,
            }
        }
    }

    /// Gives back what was not tried.
    async fn release(&self, mails: Vec<Claimed>) -> Result<(), Error> {
        let now = self.now();
        let ids: Vec<_> = mails.iter().map(|mail| mail.id).collect();
        self.db.transaction(now, move |tx| store::release(tx, &ids)).await
    }
}

/// How long to wait after the attempt number `attempts` of a mail of this `age`.
fn pause(attempts: i32, refused: bool, age: TimeDelta) -> TimeDelta {
    if refused && age > PATIENCE {
        return LONG_PAUSE;
    }
    let index = usize::try_from(attempts - 1).unwrap_or_default();
    let [.., last] = PAUSES;
    TimeDelta::seconds(PAUSES.get(index).copied().unwrap_or(last))
}
