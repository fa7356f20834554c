//! The e-mail address of an account, and how it is changed.
//!
//! 1. `POST /email` requests a change; it needs a recent authentication. A link to confirm the change is mailed to the new
//!    address, a link to revert it to the old one. Until the confirmation, the old address remains the login.
//! 2. `POST /email/confirm` makes the new address the login.
//! 3. `POST /email/revert` stops a pending change, or undoes a confirmed one for seven days. Undoing treats the change as a
//!    takeover of the account: it removes the password, ends every session and disables the API keys that were created,
//!    rotated, enabled or given more scopes or networks since the request.
//!
//! What must never happen: that a response reveals whether the new address has an account; that two accounts have verified
//! the same address; that an attacker who changed the address keeps access once the owner used the link mailed to the old
//! one.

mod model;
mod operations;
mod routes;
mod store;

pub use operations::cancel_pending;
pub use routes::router;
pub use store::SWEEP;
