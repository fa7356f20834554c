//! How much mail strangers can make the service send to one address.

use crate::db::Tx;
use chrono::TimeDelta;

use super::outbox;
use crate::error::Error;

/// Mails to one address, of all kinds together, in an hour.
const MOST: i64 = 10;
/// Links to set the password anew, in an hour: a reserve of their own, so that nobody who fills the other can keep an owner
/// from their account.
const MOST_RESETS: i64 = 5;
const WINDOW: TimeDelta = TimeDelta::hours(1);

/// Counts mails by their recipient, unless limits of rate are switched off. What tells an owner of an act on their account
/// is counted, but never held back.
#[derive(Clone, Copy, Debug)]
pub struct MailLimit {
    /// Whether it counts at all.
    pub enabled: bool,
}

impl MailLimit {
    /// Whether a mail that a stranger asked for may go to `recipient`. If not, it is left out, and nobody is told: whoever
    /// asked must not learn what else goes there.
    ///
    /// # Errors
    /// When the database fails.
    pub fn allows(&self, tx: &mut Tx<'_>, recipient: &str) -> Result<bool, Error> {
        Ok(!self.enabled || outbox::count_since(tx, recipient, None, tx.now - WINDOW)? < MOST)
    }

    /// Whether another link to set the password anew may go to `recipient`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn allows_reset(&self, tx: &mut Tx<'_>, recipient: &str) -> Result<bool, Error> {
        let kind = Some("reset_password");
        Ok(!self.enabled || outbox::count_since(tx, recipient, kind, tx.now - WINDOW)? < MOST_RESETS)
    }
}
