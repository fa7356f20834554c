//! The audit log: one record of each security-relevant action, written in the transaction of the action.
//!
//! Records are never changed, outlive the rows they name and contain no secret. Users can read the records about their own
//! account, owners and admins those of their organisation, platform admins all.

mod action;
mod entry;
mod model;
mod operations;
mod routes;
mod store;

pub use action::Action;
pub use entry::Entry;
pub use model::{ActorType, AuditLogQuery, AuditRecordResponse, Outcome, Scope};
pub use operations::{list, record};
pub use routes::router;
