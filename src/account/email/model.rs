//! A change of e-mail address.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;

use crate::notifications::Link;
use crate::values::ids::{EmailChangeId, UserId};

/// How long a change can be confirmed.
pub const LIFETIME: TimeDelta = Link::ConfirmEmail.lifetime();
/// How long a confirmed change can be reverted.
pub const REVERT_WINDOW: TimeDelta = Link::RevertEmail.lifetime();

/// A row of the table `email_changes`.
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
    /// Whether the change can still be confirmed.
    pub fn is_pending(&self, now: DateTime<Utc>) -> bool {
        self.confirmed_at.is_none() && self.cancelled_at.is_none() && now < self.expires_at
    }

    /// Whether the change is confirmed and can still be reverted.
    pub fn can_be_reverted(&self, now: DateTime<Utc>) -> bool {
        self.reverted_at.is_none() && self.revert_expires_at.is_some_and(|until| now < until)
    }
}
