//! Administration of the platform: people, announcements, the audit log of everything.
//!
//! Who administrates the platform (`role: admin`) sees every account, and can disable it, end its sessions and make or
//! unmake administrators; but never their own, so that nobody locks the last one out by mistake. They see no password, no
//! key, no organisation from within.
//!
//! What must never happen: that a disabled person goes on; that somebody who is no administrator any more still acts as
//! one, even in a request that began before.

mod model;
mod operations;
mod routes;
mod store;

pub use routes::router;
