//! Self-service of a person's own account: registration, profile, e-mail address, password, export and deletion.
//!
//! Whether an e-mail address has an account is a secret. Every endpoint that takes an address from a caller who has not
//! verified it responds in the same way, and after the same work, whether or not the address has an account.

pub mod email;
mod mailed_links;
pub mod password;
pub mod personal_data;
pub mod profile;
pub mod registration;

pub use email::SWEEP as EMAIL_CHANGES_SWEEP;
pub use mailed_links::{AcceptedResponse, MailedTokenRequest};
pub use registration::{
    NewUser, SWEEP as REGISTRATIONS_SWEEP, create_user, hash_password as hash_registration_password,
};
