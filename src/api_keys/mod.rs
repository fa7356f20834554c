//! API keys: credentials with which programs act for a person, either personally or as a member of one organisation.
//!
//! **Lifecycle.** A person creates a key in a session, with their password. The response shows its secret once; the
//! database stores a hash of it. A rotation issues a new secret; the previous one keeps working for a grace period. A
//! key ends when it is deleted by its owner, by an admin of its organisation, or by itself (`DELETE
//! /api-keys/current`). It stops working while it is disabled or expired, or while its owner's account is disabled.
//!
//! **Permissions.** What a key may do is computed whenever it is resolved: the scopes stored with it, minus those its
//! owner may not use at that moment. A key in an organisation belongs to the membership under which it was created.
//! When that membership ends, the key is suspended for good; joining the organisation again does not bring it back.
//!
//! **What must never happen.** A secret is stored, logged, or returned a second time. A key may do more than its
//! owner. A deleted, disabled, expired or suspended key is accepted. The counting of uses delays a request, or changes
//! more than `last_used_at`, `last_used_ip` and the daily counts.
//!
//! | file | content |
//! |---|---|
//! | `format` | prefix, random part and checksum of a secret |
//! | `model` | parts of a key, parsing, pure rules |
//! | `filter` | filter and order of a list of keys |
//! | `operations` | one function per use case |
//! | `verify` | the decision about a presented key |
//! | `store` | the queries |
//! | `usage`, `reminders` | what the background worker does |
//! | `routes` | the endpoints |

mod filter;
mod format;
mod model;
mod networks;
mod operations;
mod reminders;
mod routes;
mod store;
mod usage;
mod verify;

pub use format::{generate, has_prefix};
pub use networks::IpAddress;
pub use operations::disable_granted_since;
pub use reminders::{SWEEP as REMINDERS_SWEEP, remind};
pub use routes::{router, verification_router};
pub use usage::{SWEEP as USAGE_SWEEP, flush as flush_usage};
pub use verify::{CountUse, PresentedKey, Rejection, Verdict, count_request, verify, verify_again};
