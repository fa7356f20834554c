//! What a change of address is.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;

use crate::notifications::email::Link;
use crate::values::ids::{EmailChangeId, UserId};

/// How long the new address has to prove itself.
pub const LIFETIME: TimeDelta = Link::ConfirmEmail.lifetime();
/// How long the old address can undo a change that took effect.
pub const REVERT_WINDOW: TimeDelta = Link::RevertEmail.lifetime();

/// A change of address, as stored.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = crate::db::schema::email_changes, check_for_backend(diesel::pg::Pg))]
pub struct EmailChange {
    pub id: EmailChangeId,
    pub user_id: UserId,
    pub old_email: String,
    pub new_email: String,
    pub requested_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub confirmed_at: Option<DateTime<Utc>>,
    pub cancelled_at: Option<DateTime<Utc>>,
    pub reverted_at: Option<DateTime<Utc>>,
    pub revert_expires_at: Option<DateTime<Utc>>,
}

impl EmailChange {
    /// Whether it waits for the new address to prove itself.
    pub fn is_pending(&self, now: DateTime<Utc>) -> bool {
        self.confirmed_at.is_none() && self.cancelled_at.is_none() && now < self.expires_at
    }

    /// Whether it took effect and can still be undone.
    pub fn can_be_reverted(&self, now: DateTime<Utc>) -> bool {
        self.reverted_at.is_none() && self.revert_expires_at.is_some_and(|until| now < until)
    }
}
