//! The limit on e-mails that strangers can cause to be sent to one address.

use chrono::TimeDelta;

use super::outbox;
use crate::db::Tx;
use crate::error::Error;

/// The maximum number of e-mails of all kinds to one address in [`WINDOW`].
const MAX_MAILS: i64 = 10;
/// The maximum number of password resets. Counted on their own, so that exhausting the other limit can't keep an owner from
/// resetting the password.
const MAX_RESETS: i64 = 5;
const WINDOW: TimeDelta = TimeDelta::hours(1);
/// The maximum numbers of links that verify a sign-up, each with its period. Counted on their own: what else is sent to the
/// address can't keep its owner from signing up. While the limit holds a link back, one that was mailed before still works,
/// because each works for a day.
const MAX_VERIFICATIONS: [(i64, TimeDelta); 2] = [(1, TimeDelta::minutes(5)), (10, TimeDelta::hours(24))];

/// Counts e-mails by recipient. E-mails about the owner's account count, but are always sent.
#[derive(Clone, Copy, Debug)]
pub struct MailLimit {
    /// False when the configuration switches rate limits off.
    pub enabled: bool,
}

impl MailLimit {
    /// Whether an e-mail that a stranger caused may be sent to `recipient`. If not, it is dropped without an error: the
    /// response must not reveal what else is sent there.
    pub fn allows(self, tx: &mut Tx<'_>, recipient: &str) -> Result<bool, Error> {
        Ok(!self.enabled || outbox::count_since(tx, recipient, tx.now - WINDOW)? < MAX_MAILS)
    }

    /// Whether another link that verifies a sign-up may be mailed to `recipient`.
    pub fn allows_verification(self, tx: &mut Tx<'_>, recipient: &str) -> Result<bool, Error> {
        if !self.enabled {
            return Ok(true);
        }
        for (max, window) in MAX_VERIFICATIONS {
            if outbox::count_event_since(tx, recipient, "verify_email", tx.now - window)? >= max {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether another password reset may be mailed to `recipient`.
    pub fn allows_reset(self, tx: &mut Tx<'_>, recipient: &str) -> Result<bool, Error> {
        Ok(!self.enabled || outbox::count_event_since(tx, recipient, "reset_password", tx.now - WINDOW)? < MAX_RESETS)
    }
}
