//! How much mail strangers can make the service send to one address.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::PgConnection;

use super::outbox;
use crate::error::Error;

/// Mails to one address, of all kinds together, and in what time.
const MOST: (i64, TimeDelta) = (10, TimeDelta::hours(1));

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
    pub fn allows(&self, connection: &mut PgConnection, now: DateTime<Utc>, recipient: &str) -> Result<bool, Error> {
        Ok(!self.enabled || outbox::count_since(connection, recipient, now - MOST.1)? < MOST.0)
    }
}
