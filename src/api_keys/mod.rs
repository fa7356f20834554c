//! API keys: credentials with which machines act for a person, for themselves or in one organisation.
//!
//! A key belongs to who made it, behind their password. Its secret is shown once and stored as a hash only; a rotation
//! gives it another, and the old one lives on for a grace period. What it may do is decided at each use, from its scopes
//! and from what its owner may do then. A key in an organisation hangs on the membership under which it was made: it ends
//! with that stay, and no later stay revives it.
//!
//! What must never happen: that a secret is stored, or shown a second time; that a key does what its owner may not; that a
//! deleted, disabled, expired or orphaned key is good for anything; that the bookkeeping of uses (`last_used_at`, counts)
//! waits on a request's path or changes anything else of a key.
//!
//! The parts: `format` what a key looks like · `model` its rules · `operations` what can be done with it · `list` and
//! `store` which keys are read, and how · `standing` what authentication reads · `usage` and `reminders` what the worker
//! does · `routes` and all that end so, the endpoints.

mod authenticate;
mod format;
mod list;
mod model;
mod operations;
mod reminders;
mod routes;
mod store;
mod usage;

pub use authenticate::{LookUp, look_up};
pub use format::{generate, has_prefix};
pub use model::Address;
pub use operations::disable_made_since;
pub use reminders::remind;
pub use routes::{router, verification_router};
pub use usage::{flush as flush_usage, sweep as sweep_usage};
