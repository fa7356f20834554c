//! Members of an organisation: list them, change their role, remove them, leave, transfer the ownership.
//!
//! A membership ends when the member leaves or is removed, or with the organisation. The member's API keys in the
//! organisation then stop working for good, and the invitations they sent are revoked. A demotion revokes the invitations
//! whose role the member may no longer give. Only owners change or remove owners and admins.
//!
//! Where every owner is disabled, a platform administrator appoints another one.
//!
//! What must never happen: the last owner who can act leaves, also when two owners do so, or the other one is disabled, at
//! the same time (every change locks the organisation first, then the accounts of its owners; a database trigger checks at
//! the commit that there is an owner, disabled or not); a member keeps a permission that a demotion took away.

mod model;
mod operations;
mod routes;
mod store;

pub use model::ServiceName;
pub use routes::router;
