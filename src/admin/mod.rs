//! Administration of the platform: users, announcements and the audit log of the platform.
//!
//! A platform administrator (role `admin`) can see every account, disable it, end its sessions and change its role. They
//! cannot change their own account, so that the last administrator does not remove themselves by mistake, and the last one
//! cannot delete it either. They have no access to passwords, API keys or the inside of organisations; where every owner is
//! disabled, they appoint one (`orgs/members`).
//!
//! What must never happen: a disabled user continues to act; a former platform admin acts as one, even in a request that
//! began before the change.

mod model;
mod operations;
mod routes;
mod store;

pub use routes::router;
