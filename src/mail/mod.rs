//! Mail.
mod address;
pub use address::EmailAddress;
