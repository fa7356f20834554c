//! How credentials stood when they were last looked at, remembered for moments, so that who calls often costs no look into
//! the database each time.
//!
//! [`InvalidationLog`] says whether what is remembered still counts. What time decides is not remembered at all: who uses a
//! standing asks it for the present instant. Room is bounded, and what is not there is simply read again.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use uuid::Uuid;

use super::resolved::{ResolvedKey, ResolvedSession};
use crate::auth::Claims;
use crate::db::{Freshness, InvalidationLog, ReadVersion};
use crate::secret::TokenHash;

/// How many of the smallest standings of each kind there is room for.
const MOST: usize = 12 * 1024;
/// What the smallest takes, in bytes, by a rough measure.
const LEAST: u64 = 1024;
/// How many bytes the standings of each kind may take.
const ROOM: u64 = MOST as u64 * LEAST;

/// A standing, and when it was read.
pub struct Cached<T> {
    value: T,
    reading: ReadVersion,
    depends_on: [Option<Uuid>; 4],
    /// Whether somebody is reading it again.
    renewing: AtomicBool,
}

impl<T> Deref for Cached<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Cached<T> {
    const fn new(value: T, reading: ReadVersion, depends_on: [Option<Uuid>; 4]) -> Self {
        Self {
            value,
            reading,
            depends_on,
            renewing: AtomicBool::new(false),
        }
    }

    fn freshness(&self, changes: &InvalidationLog) -> Freshness {
        changes.freshness(self.reading, self.depends_on.into_iter().flatten())
    }
}

/// An access token: what it says, which its signature proved once and for all, and how its session stood.
pub struct CachedToken {
    /// What it says.
    pub claims: Claims,
    /// How its session stood.
    pub standing: Cached<ResolvedSession>,
}

/// The standings that are remembered.
pub struct CredentialCache {
    keys: Cache<TokenHash, Arc<Cached<ResolvedKey>>, Weight>,
    tokens: Cache<TokenHash, Arc<CachedToken>, Weight>,
    changes: Arc<InvalidationLog>,
}

/// Measures standings, roughly.
#[derive(Clone)]
struct Weight;

impl Weighter<TokenHash, Arc<Cached<ResolvedKey>>> for Weight {
    fn weight(&self, _: &TokenHash, key: &Arc<Cached<ResolvedKey>>) -> u64 {
        LEAST + 96 * key.scopes().len() as u64 + 64 * key.allowed_ips.len() as u64
    }
}

impl Weighter<TokenHash, Arc<CachedToken>> for Weight {
    fn weight(&self, _: &TokenHash, token: &Arc<CachedToken>) -> u64 {
        LEAST + 64 * token.standing.authenticated.disabled_services.len() as u64
    }
}

impl CredentialCache {
    /// Empty.
    pub fn new(changes: Arc<InvalidationLog>) -> Self {
        Self {
            keys: Cache::with_weighter(MOST, ROOM, Weight),
            tokens: Cache::with_weighter(MOST, ROOM, Weight),
            changes,
        }
    }

    /// Begins a reading; to be called before the database is asked.
    pub fn reading(&self) -> ReadVersion {
        self.changes.reading()
    }

    /// How the key with this secret stands, if that is known and still counts. It is read again, by `read`, in time.
    pub fn key<F>(&self, hash: &TokenHash, read: impl FnOnce() -> F) -> Option<Arc<Cached<ResolvedKey>>>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let key = self.keys.get(hash)?;
        self.counts(&key, read).then_some(key)
    }

    /// Whether something still counts. If it does, but not for long, it is read again beside the work of the one who asks;
    /// by one of those who ask, and not by all. If that fails, whoever needs it later is told so.
    fn counts<T, F>(&self, remembered: &Cached<T>, read: impl FnOnce() -> F) -> bool
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let freshness = remembered.freshness(&self.changes);
        if freshness == Freshness::Aging && !remembered.renewing.swap(true, Ordering::Relaxed) {
            tokio::spawn(read().map(drop));
        }
        freshness != Freshness::Stale
    }

    /// Remembers how a key stands.
    pub fn insert_key(&self, hash: TokenHash, reading: ReadVersion, standing: ResolvedKey) -> Arc<Cached<ResolvedKey>> {
        let depends_on = [
            Some(standing.id.uuid()),
            Some(standing.authenticated.user_id.uuid()),
            standing.org_id.map(crate::values::ids::OrgId::uuid),
            standing.membership_id.map(crate::values::ids::MembershipId::uuid),
        ];
        let remembered = Arc::new(Cached::new(standing, reading, depends_on));
        self.keys.insert(hash, Arc::clone(&remembered));
        remembered
    }

    /// The access token, if it is known: what it says, and whether what is known of its session still counts. That is read
    /// again, by `read`, in time.
    pub fn token<F>(&self, hash: &TokenHash, read: impl FnOnce(Claims) -> F) -> Option<(Arc<CachedToken>, bool)>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let token = self.tokens.get(hash)?;
        let counts = self.counts(&token.standing, || read(token.claims.clone()));
        Some((token, counts))
    }

    /// Remembers an access token and how its session stands.
    pub fn insert_token(
        &self,
        hash: TokenHash,
        reading: ReadVersion,
        claims: Claims,
        standing: ResolvedSession,
    ) -> Arc<CachedToken> {
        let depends_on = [
            Some(standing.id.uuid()),
            Some(standing.authenticated.user_id.uuid()),
            standing.membership_id.map(crate::values::ids::MembershipId::uuid),
            None,
        ];
        let standing = Cached::new(standing, reading, depends_on);
        let known = Arc::new(CachedToken { claims, standing });
        self.tokens.insert(hash, Arc::clone(&known));
        known
    }
}
