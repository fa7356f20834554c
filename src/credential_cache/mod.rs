//! Credentials that were resolved a moment ago.

mod cache;
mod resolved;

pub use cache::{Cached, CachedToken, CredentialCache};
pub use resolved::{KeyState, KeyStatus, ResolvedKey, ResolvedSession, SuspensionReason};
