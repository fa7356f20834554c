//! People: how an account comes to be, what a person says of themselves, how it ends.
//!
//! An account begins with a registration, which proves nothing yet: anybody can sign up with anybody's address. Each
//! registration keeps its own password, and only the link mailed for it makes that password the account's; so who signs up
//! with somebody else's address gains nothing. An account whose address is unproven can do nothing.
//!
//! What must never happen: that an answer tells whether an address has an account; that an address or a username belongs
//! to two.

mod avatar;
mod model;
mod operations;
mod routes;
mod store;

pub use model::{Nickname, TimeZone, User, Username};
pub use operations::{NewUser, check_password, create_user, find_user, find_user_for_update, require_fresh};
pub use routes::{AcceptedResponse, MailedTokenRequest, router};
pub use store::{
    delete_expired_registrations as sweep_registrations, delete_registrations, delete_unverified, find_by_login,
    is_taken, list as list_users, move_email, registered_hash, release_username, set_disabled, set_password, set_role,
    void_password,
};
