//! Sessions: a log-in of a person, from its start to its end.
//!
//! A session begins with a password and lives by refresh tokens, each good once: 30 days unused end it, and 90 days in any
//! case. Access tokens last minutes and say which session they are of; the session's row decides whether they still count.
//! Refresh tokens form a chain. One that is presented again after its successor was used means that two parties hold the
//! chain, so the session ends; but whoever merely lost the answer and asks again at once is given the same successor.
//!
//! What must never happen: that an ended session, a disabled person or a lost membership is good for anything on the next
//! request; that two refreshes of one token yield two chains.

mod authenticate;
mod model;
mod operations;
mod routes;
mod store;

pub use authenticate::look_up;
pub use model::{EndReason, Grant, TokensResponse};
pub use operations::{end_all, end_others, live_among, switch_org};
pub use routes::router;
pub use store::clear_org;
