//! Everything held about a person: to be handed out, and to be deleted.
//!
//! Deleting an account takes with it whatever is the person's alone: sessions, API keys, notifications, memberships, and
//! the organisations in which there is nobody else. What stays is the audit log, which speaks of ids and names and is the
//! organisations' and the platform's as well.
//!
//! What must never happen: that an organisation with members is left without an owner.

mod operations;
mod routes;
mod store;

pub use routes::router;
