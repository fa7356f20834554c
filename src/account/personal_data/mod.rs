//! The export of all data about a person, and the deletion of their account.
//!
//! Deleting an account deletes everything that belongs to it alone: sessions, API keys, notifications, memberships, and the
//! organisations that have no other member. The audit log remains, because it also belongs to the organisations and to the
//! platform.
//!
//! What must never happen: that an organisation with members is left without an owner.

mod export;
mod operations;
mod routes;
mod store;

pub use routes::router;
