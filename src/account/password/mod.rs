//! The password of an account: its policy, its change, and how it is set anew when forgotten.
//!
//! A change or a reset ends sessions (all others, or all) and whatever is under way with the account: links to set the
//! password anew, changes of address. API keys keep working: they are credentials of their own, and deleted one by one.

mod operations;
mod routes;

pub use routes::router;
