//! The profile (`/me`), the avatar, and the availability of usernames.
//!
//! A username is unique on the platform. One that its user gives up stays reserved for that user for 30 days, so that another
//! user can't take it to impersonate them.

mod avatar;
mod model;
mod operations;
mod routes;
mod store;

pub use routes::router;
