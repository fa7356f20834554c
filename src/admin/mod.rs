//! Administration of the platform: users, announcements and the audit log of the platform.
//!
//! A platform admin (role `admin`) can read every account, disable it, end its sessions and change its role. They cannot
//! change their own account here, so that the last platform admin does not remove themselves by mistake. They have no
//! access to passwords and API keys, and no role in organisations.
//!
//! What must never happen: a disabled user continues to act; a former platform admin acts as one, even in a request that
//! began before the change.

mod model;
mod operations;
mod routes;
mod store;

pub use routes::router;
