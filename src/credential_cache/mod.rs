//! The credential cache: API keys and access tokens that were resolved in the last seconds, so that a credential in use
//! costs no database query. A hit takes one look-up in a sharded hash map, one clock reading and at most six atomic
//! loads.
//!
//! # Entries
//!
//! An entry maps the SHA-256 hash of a presented credential to what was read about it from the database: a
//! [`ResolvedKey`], or the claims of an access token with its [`ResolvedSession`]. It contains data, not a decision.
//! Everything that depends on the time (expiry of the key, end of a rotated secret's grace period, end of the session)
//! or on the request (client address, required scopes) is evaluated at each use, so a cached key expires on time.
//! Unknown credentials are not cached.
//!
//! Each entry also holds a [`ReadVersion`](crate::db::ReadVersion), taken *before* the database was read, and the ids
//! of the rows it was read from: key, owner, organisation, membership (for a session: session, owner, membership).
//!
//! # How an entry becomes stale
//!
//! 1. A statement changes a row that credentials depend on (disabled, new scopes, deleted, a member's role, …), through
//!    the API, on another instance, or by hand in `psql`.
//! 2. A trigger (`migrations/*_change_notifications`) calls `pg_notify` with the id of the changed row, on two
//!    channels: `keyward`, which every instance listens to on a connection of its own, and `keyward_<backend pid>`,
//!    which the connection that makes the change listens to itself. PostgreSQL delivers the latter before it confirms
//!    the COMMIT, so the instance that made a change has invalidated its entries before its client gets the response;
//!    the others follow some milliseconds later. The triggers cover only columns that credentials depend on: PostgreSQL
//!    serialises commits with a NOTIFY, so logins, token refreshes and uses of keys send none.
//! 3. The instance increments a version counter and stores the new version in the slot of the changed id
//!    ([`InvalidationLog`](crate::db::InvalidationLog)).
//! 4. The next look-up compares: an entry is valid while the slots of all ids it depends on are not newer than its read
//!    version. Otherwise it is stale, and the caller reads the database again.
//!
//! **Entries aren't evicted on a change.** Finding the entries of an organisation or a user would need an index from
//! ids to entries, kept in step with the cache under a lock. More importantly, eviction loses a race: a reader that
//! read before the change and inserts after the eviction would restore the old state. With versions, such an entry
//! is stale from the start, because its read version is older than the slot. Of the 65 536 slots two ids can share one;
//! the effect is an unneeded read.
//!
//! # While the listener is down
//!
//! Changes made by other instances would go unnoticed then, so no entry is valid and every request reads the database.
//! The listening connection is probed every 400 ms; if its last reply is older than 900 ms, it counts as lost even if TCP
//! reports no error. After a reconnect, everything read before it is stale, since notifications sent in between are lost.
//! Together this bounds how long a revoked credential can work on another instance to one second.
//!
//! # Lifetime and size
//!
//! An entry is valid for at most 5 s, whatever the listener reports. From 4 s on it is still used, but the first caller
//! to find it so starts one background read that replaces it (stale-while-revalidate). Without that, all requests with
//! a busy credential would miss in the same instant; under load those reads took up to two seconds.
//!
//! Keys and tokens have 12 MiB each, by an estimate of at least 1 KiB an entry: 12 288 entries. Beyond that,
//! `quick_cache` evicts entries that are used little; an evicted credential is read again.

mod cache;
mod resolved;

pub use cache::{Cached, CachedToken, CredentialCache, TokenLookup};
pub use resolved::{KeyState, KeyStatus, ResolvedKey, ResolvedSession, SuspensionReason};
