//! The cache itself; the module page explains how entries become stale.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;
use metrics::Counter;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use uuid::Uuid;

use super::resolved::{ResolvedKey, ResolvedSession};
use crate::auth::Claims;
use crate::db::{Freshness, InvalidationLog, ReadVersion};
use crate::secret::TokenHash;
use crate::values::ids::{MembershipId, OrgId};

/// Estimated size of the smallest entry, in bytes.
const MIN_ENTRY_BYTES: u64 = 1024;
/// Maximum number of entries per kind of credential, reached if all are of the smallest size.
const MAX_ENTRIES: usize = 12 * 1024;
/// Maximum total size of the entries per kind of credential, in bytes.
const MAX_BYTES: u64 = MAX_ENTRIES as u64 * MIN_ENTRY_BYTES;

/// A value read from the database, with the data that decides whether it is still valid.
pub struct Cached<T> {
    value: T,
    read_version: ReadVersion,
    /// The ids of the rows the value was read from.
    depends_on: [Option<Uuid>; 4],
    /// Set by the first caller that starts a background read.
    is_refreshing: AtomicBool,
}

impl<T> Deref for Cached<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Cached<T> {
    const fn new(value: T, read_version: ReadVersion, depends_on: [Option<Uuid>; 4]) -> Self {
        Self {
            value,
            read_version,
            depends_on,
            is_refreshing: AtomicBool::new(false),
        }
    }

    fn freshness(&self, log: &InvalidationLog) -> Freshness {
        log.freshness(self.read_version, self.depends_on.into_iter().flatten())
    }
}

/// An access token whose signature was verified.
pub struct CachedToken {
    pub claims: Claims,
    pub session: Cached<ResolvedSession>,
}

/// An access token found in the cache. Its signature was verified when it was cached; its session may be stale.
pub enum TokenLookup {
    Valid(Arc<CachedToken>),
    /// The session has to be read again.
    SessionStale(Arc<CachedToken>),
}

pub struct CredentialCache {
    keys: Cache<TokenHash, Arc<Cached<ResolvedKey>>, EntrySize>,
    tokens: Cache<TokenHash, Arc<CachedToken>, EntrySize>,
    log: Arc<InvalidationLog>,
    hits: Counter,
    misses: Counter,
}

/// Estimates the size of an entry in bytes.
#[derive(Clone)]
struct EntrySize;

impl Weighter<TokenHash, Arc<Cached<ResolvedKey>>> for EntrySize {
    fn weight(&self, _: &TokenHash, key: &Arc<Cached<ResolvedKey>>) -> u64 {
        MIN_ENTRY_BYTES + 96 * key.scopes().len() as u64 + 64 * key.allowed_ips.len() as u64
    }
}

impl Weighter<TokenHash, Arc<CachedToken>> for EntrySize {
    fn weight(&self, _: &TokenHash, token: &Arc<CachedToken>) -> u64 {
        MIN_ENTRY_BYTES + 64 * token.session.principal.disabled_services.len() as u64
    }
}

impl CredentialCache {
    pub fn new(log: Arc<InvalidationLog>) -> Self {
        Self {
            keys: Cache::with_weighter(MAX_ENTRIES, MAX_BYTES, EntrySize),
            tokens: Cache::with_weighter(MAX_ENTRIES, MAX_BYTES, EntrySize),
            log,
            hits: metrics::counter!("keyward_credential_cache_lookups_total", "result" => "hit"),
            misses: metrics::counter!("keyward_credential_cache_lookups_total", "result" => "miss"),
        }
    }

    /// The number of entries, also those that are no longer valid.
    pub fn entries(&self) -> usize {
        self.keys.len() + self.tokens.len()
    }

    fn count<T>(&self, hit: Option<T>) -> Option<T> {
        let counter = if hit.is_some() { &self.hits } else { &self.misses };
        counter.increment(1);
        hit
    }

    /// The version to insert with. Must be taken before the database is read: a change that commits during the read
    /// then has a newer version.
    pub fn read_version(&self) -> ReadVersion {
        self.log.read_version()
    }

    /// The key with this secret, if a valid entry exists. Near the end of its lifetime the entry is read again in the
    /// background, by `refresh`, which inserts it.
    pub fn key<F>(&self, hash: &TokenHash, refresh: impl FnOnce() -> F) -> Option<Arc<Cached<ResolvedKey>>>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let key = self.keys.get(hash).filter(|key| self.is_valid(key, refresh));
        self.count(key)
    }

    /// Whether an entry is valid. Starts `refresh` if it is about to expire and no other caller has started it.
    fn is_valid<T, F>(&self, cached: &Cached<T>, refresh: impl FnOnce() -> F) -> bool
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let freshness = cached.freshness(&self.log);
        if freshness == Freshness::StaleWhileRevalidate && !cached.is_refreshing.swap(true, Ordering::Relaxed) {
            // An error is dropped here: the entry expires, and the next caller reads the database itself and gets it.
            tokio::spawn(refresh().map(drop));
        }
        freshness != Freshness::Stale
    }

    pub fn insert_key(&self, hash: TokenHash, read_version: ReadVersion, key: ResolvedKey) -> Arc<Cached<ResolvedKey>> {
        let depends_on = [
            Some(key.id.uuid()),
            Some(key.principal.user_id.uuid()),
            key.org_id.map(OrgId::uuid),
            key.membership_id.map(MembershipId::uuid),
        ];
        let cached = Arc::new(Cached::new(key, read_version, depends_on));
        self.keys.insert(hash, Arc::clone(&cached));
        cached
    }

    /// The access token, if it is cached. Near the end of its lifetime the session is read again in the background, by
    /// `refresh`, which inserts it.
    pub fn token<F>(&self, hash: &TokenHash, refresh: impl FnOnce(Claims) -> F) -> Option<TokenLookup>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let token = self.count(self.tokens.get(hash))?;
        Some(if self.is_valid(&token.session, || refresh(token.claims.clone())) {
            TokenLookup::Valid(token)
        } else {
            TokenLookup::SessionStale(token)
        })
    }

    pub fn insert_token(
        &self,
        hash: TokenHash,
        read_version: ReadVersion,
        claims: Claims,
        session: ResolvedSession,
    ) -> Arc<CachedToken> {
        let depends_on = [
            Some(session.id.uuid()),
            Some(session.principal.user_id.uuid()),
            session.membership_id.map(MembershipId::uuid),
            None,
        ];
        let session = Cached::new(session, read_version, depends_on);
        let token = Arc::new(CachedToken { claims, session });
        self.tokens.insert(hash, Arc::clone(&token));
        token
    }
}
