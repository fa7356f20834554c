//! The services that handlers use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::auth::{AccessTokens, KeyUsage, PasswordHasher, PasswordPolicy, RefusedRequests, ScopeCatalog, Throttle};
use crate::clock::Clock;
use crate::config::Config;
use crate::credential_cache::CredentialCache;
use crate::db::Db;
use crate::db::deployment::KeyIds;
use crate::http::{ConcurrencyLimit, RateLimit, WriteLimit};
use crate::images::ImageResizer;
use crate::notifications::TextCatalog;
use crate::secret::ServerSecret;

/// Built once at the start, by `app::build_state`; a clone shares the same services.
#[derive(Clone)]
pub struct State {
    pub config: Arc<Config>,
    pub db: Db,
    pub clock: Clock,
    /// The key of all MACs; one-time tokens and refresh tokens are derived from it.
    pub secret: ServerSecret,
    pub tokens: Arc<AccessTokens>,
    pub hasher: PasswordHasher,
    /// Limits wrong passwords.
    pub throttle: Throttle,
    /// Limits requests to public endpoints.
    pub rate_limit: RateLimit,
    /// Limits authenticated requests that change something.
    pub write_limit: WriteLimit,
    /// The texts of notifications and e-mails.
    pub texts: Arc<TextCatalog>,
    /// Verified API keys and sessions.
    pub credential_cache: Arc<CredentialCache>,
    /// Uses of API keys that are not written to the database yet.
    pub key_usage: Arc<KeyUsage>,
    /// Requests refused with 429 that are not in the audit log yet.
    pub refused_requests: RefusedRequests,
    pub scopes: Arc<ScopeCatalog>,
    pub policy: PasswordPolicy,
    pub image_resizer: ImageResizer,
    /// Limits exports of personal data at a time.
    pub exports: ConcurrencyLimit,
    /// True once the service is stopping; `/readyz` then returns 503.
    pub draining: Arc<AtomicBool>,
}

impl State {
    /// Identifies the keys of this instance.
    pub fn key_ids(&self) -> KeyIds {
        KeyIds {
            secret_fingerprint: self.secret.fingerprint(),
            signing_keys: self.tokens.key_ids(),
        }
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
