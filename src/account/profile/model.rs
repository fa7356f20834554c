//! The profile that `GET /me` returns.

use crate::orgs::membership::OrgSummary;
use crate::users::User;

pub struct Profile {
    pub user: User,
    /// The new address of a pending change of e-mail address.
    pub pending_email: Option<String>,
    /// The organisation the credential acts in.
    pub active_org: Option<OrgSummary>,
    pub unread_notifications: i64,
}
