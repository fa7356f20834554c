//! People: how an account comes to be, what a person says of themselves, how it ends.
//!
//! An account begins with a registration, which proves nothing yet: anybody can sign up with anybody's address. Each
//! registration keeps its own password, and only the link mailed for it makes that password the account's; so who signs up
//! with somebody else's address gains nothing. An account whose address is unproven can do nothing.
//!
//! What must never happen: that an answer tells whether an address has an account; that an address or a username belongs
//! to two.

mod avatar;
pub mod email;
mod model;
mod operations;
pub mod password;
pub mod personal_data;
mod routes;
mod store;

pub use operations::{NewUser, create_user};
pub use routes::{AcceptedResponse, MailedTokenRequest, router};
pub use store::{delete_expired_registrations as sweep_registrations, delete_registrations, registered_hash};
