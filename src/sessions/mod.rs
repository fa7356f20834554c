//! Sessions: logins and the tokens that are issued for them.
//!
//! A login starts a session and returns an access token and a refresh token. An access token is valid for minutes and names
//! its session; every request checks the session's row, usually in the credential cache. So the tokens of an ended session, a
//! disabled user or a lost membership are rejected at once (`authenticate`). A session ends after 30 days without a refresh, and after 90 days in any
//! case.
//!
//! **Refresh token rotation** (RFC 9700, section 4.14.2). Every refresh exchanges the refresh token for a successor: the
//! refresh tokens of a session form a chain, and only the newest one is valid. A token contains its place in the chain and is
//! derived from it, so the row of the session with the current place is all that is stored (`refresh_token`). **Reuse detection**: a token that is
//! presented again after it was exchanged was copied, and it is unknown whether the user or an attacker has the newest one.
//! So the session ends and the user is notified. The exception is a client that did not receive the response to a refresh
//! and repeats it at once, or two tabs that refresh at the same time: for 60 seconds, and as long as the successor was not
//! used, the same successor is returned again.
//!
//! What must never happen: that an ended session, a disabled user or a lost membership is accepted by a later request; that
//! two refreshes with the same token return different successors.

mod authenticate;
mod cookie;
mod device;
mod model;
mod operations;
mod refresh_token;
mod routes;
mod store;

pub use authenticate::{look_up, look_up_again};
pub use model::{EndReason, Grant, TokensResponse};
pub use operations::{end_all, end_others, find_live, switch_org};
pub use routes::router;
pub use store::{SWEEPS, clear_org, list_user_ids_by_org};
