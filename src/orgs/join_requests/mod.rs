//! Requests to join: a user requests to become a member of an organisation.
//!
//! Only an organisation with the join policy `request` accepts them; any other is 404 for people who are not members, here
//! as everywhere. A request is pending until it is approved (in [`admission`](super::admission)), rejected or withdrawn.
//! Each of these is one UPDATE of a pending row, so of several at the same time one succeeds. Every owner and admin is
//! notified of a new request; the decision of one of them resolves the notification for all.
//!
//! What must never happen: a response reveals that an organisation exists which does not accept requests; an admin approves
//! with a role that they may not give.

mod model;
mod operations;
mod routes;
mod store;

pub use model::{JoinRequest, JoinRequestResponse, JoinRequestState, RejectionReason, RequestMessage};
pub use operations::{
    Outcome, approve_pending, audit_entry, find_for_admin, list_requester, mark_approved, notify_decision, reload,
};
pub use routes::{OrgJoinRequest, router};
pub use store::SWEEPS;
