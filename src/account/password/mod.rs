//! The password of an account: the policy, its change, and the reset of a forgotten one.
//!
//! A change ends all other sessions of the account, a reset all of them. Both also invalidate pending password resets and
//! cancel a pending change of e-mail address, because an attacker may have requested them. API keys keep working: they are
//! credentials of their own and are deleted one by one.

mod operations;
mod routes;

pub use routes::router;
