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

    /// Whether another password reset may be mailed to `recipient`.
    pub fn allows_reset(self, tx: &mut Tx<'_>, recipient: &str) -> Result<bool, Error> {
        Ok(!self.enabled || outbox::count_resets_since(tx, recipient, tx.now - WINDOW)? < MAX_RESETS)
    }
}
