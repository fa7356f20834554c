//! The address of an account, and its change.
//!
//! A change is asked for with a fresh password. The new address gets a link that proves it; the old one a link that stops
//! the change, or undoes it for seven days after it took effect. Until the new address is proven, the old one is the login.
//!
//! What must never happen: that an answer tells whether the new address has an account; that an address belongs to two;
//! that a thief who changed the address keeps the account once the owner uses the link to the old one.

mod model;
mod operations;
mod routes;
mod store;

pub use operations::cancel_pending;
pub use routes::router;
