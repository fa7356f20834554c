//! Registration: from the first request to an account that can log in.
//!
//! 1. `POST /auth/register` stores a registration with its own password and mails a link. The first registration of an
//!    address also creates an account, which has no password yet.
//! 2. `POST /auth/verify-email` with the token of the link turns the registration into the account, and all other
//!    registrations of the address are deleted. The link proves the mailbox, not who chose the password: the request repeats
//!    the password of the registration, or sets a new one.
//! 3. `POST /auth/register/resend` mails a new link for a registration of an address.
//!
//! An address can have many registrations, because anyone can register any address. Each has its own link, which works for a
//! day from when it was last mailed. A limit over all who ask holds back further mails to the address; nothing is lost,
//! because the reader of any link in the mailbox can choose the password.
//!
//! An operator can create an account whose address is not verified, with a role on the platform. It comes with a registration
//! that names the account. Only the link of that registration keeps the role; any other way to verify the address makes the
//! account a plain user.
//!
//! What must never happen: that a response reveals whether an address has an account; that two accounts have verified the
//! same address; that an account has a password which its owner neither entered nor chose after reading the mail.

mod model;
mod operations;
mod routes;
mod store;

pub use operations::{NewUser, create_user, hash_password, is_password_pending, reset_role};
pub use routes::router;
pub use store::{SWEEP, delete_by_email};
