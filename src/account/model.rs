//! What `GET /me` shows.

use crate::orgs::membership::OrgSummary;
use crate::users::User;

/// An account and what stands around it.
pub struct Profile {
    /// The account.
    pub user: User,
    /// The address that waits for confirmation.
    pub pending_email: Option<String>,
    /// Where the credential acts.
    pub org: Option<OrgSummary>,
    /// How many notifications were not read.
    pub unread_notifications: i64,
}
