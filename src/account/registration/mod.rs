//! Registration: from the first request to an account that can log in.
//!
//! 1. `POST /auth/register` stores a registration with its own password and mails a link. The first registration of an
//!    address also creates an account, which has no password yet.
//! 2. `POST /auth/verify-email` with the token of the link turns the registration into the account: its password becomes
//!    that of the account, and all other registrations of the address are deleted.
//! 3. `POST /auth/register/resend` mails a new link for the newest registration of an address.
//!
//! An address can have many registrations, because anyone can register any address. Only a link that was mailed to it makes
//! a password valid, so registering with the address of another person gives no access to their account.
//!
//! What must never happen: that a response reveals whether an address has an account; that two accounts have verified the
//! same address.

mod model;
mod operations;
mod routes;
mod store;

pub use operations::{NewUser, create_user};
pub use routes::router;
pub use store::{delete_by_email, delete_expired, newest_password_hash};
