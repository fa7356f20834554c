//! Mail.
mod address;
mod message;
pub mod outbox;
pub use address::EmailAddress;
pub use message::Message;
