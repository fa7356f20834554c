//! Organisations: how one comes to be, what it says of itself, how it ends; and who may do what in one.
//!
//! Whoever makes an organisation owns it, and there is always an owner: every act that changes who is there as what locks
//! the organisation first, and a trigger of the database refuses at the commit whatever got past that. An organisation is
//! known to its members alone; to everybody else it is the same 404 as one that never was, unless it takes requests to
//! join. When it ends, all that hangs on it ends: stays, invitations, requests and the keys that act in it.
//!
//! What must never happen: that the role in a token or a body decides (the membership's row does, on each request); that
//! an organisation is without owner; that somebody becomes owner or admin by another's than an owner's will.

mod audit_log;
pub mod invitations;
pub mod join_requests;
mod logo;
pub mod members;
pub mod membership;
mod model;
mod operations;
mod permissions;
mod routes;
mod store;

pub use model::{JoinPolicy, Org, OrgBriefResponse, Slug};
pub use operations::{OrgView, end, find_by_slug, find_org, view};
pub use permissions::{OrgCaller, OrgPermission, lock, may_decide_about};
pub use routes::{OrgResponse, router};
