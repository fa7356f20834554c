//! The audit log: one record of each security-relevant action, written in the transaction of the action.
//!
//! Records are never changed, nor deleted before the end of their retention (a trigger refuses both), outlive the rows they name
//! and contain no secret. Users can read the records about their own account, owners and admins those of their organisation,
//! platform administrators all.
//!
//! What strangers can cause without limit is counted instead ([`count`]): failed logins, refused logins to disabled accounts,
//! registrations, requested resets and, in memory until the next flush, requests that are refused with 429. A count of an
//! action, for one account or none, from one /24 or /48, becomes one record after ten minutes without another one, or after an
//! hour. So the log grows with the number of networks and accounts, not with the number of guesses.

mod action;
mod counts;
mod entry;
mod model;
mod operations;
mod routes;
mod store;

pub use action::Action;
pub use counts::{close_counts, count, count_refused};
pub use entry::Entry;
pub use model::{ActorType, AuditLogQuery, AuditRecordResponse, Outcome, Scope};
pub use operations::{list, record};
pub use routes::router;
pub use store::SWEEP;
