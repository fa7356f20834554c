//! What handlers work with: the doors to the database, the clock, the keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::auth::{AccessTokens, KeyUsage, PasswordHasher, PasswordPolicy, ScopeCatalog, Throttle};
use crate::clock::Clock;
use crate::config::Config;
use crate::credential_cache::CredentialCache;
use crate::db::Db;
use crate::http::RateLimit;
use crate::images::ImageResizer;
use crate::notifications::TextCatalog;
use crate::notifications::email::MailLimit;
use crate::secret::ServerSecret;

/// Everything that is made once, at the start. Cheap to clone.
#[derive(Clone)]
pub struct State {
    /// The settings.
    pub config: Arc<Config>,
    /// The database.
    pub db: Db,
    /// The time.
    pub clock: Clock,
    /// What tokens, cursors and MACs are derived under.
    pub secret: ServerSecret,
    /// Issues and checks access tokens.
    pub tokens: Arc<AccessTokens>,
    /// Hashes and checks passwords.
    pub hasher: PasswordHasher,
    /// Counts attempts at passwords.
    pub throttle: Throttle,
    /// Limits the rate of public requests.
    pub rate_limit: RateLimit,
    /// Limits how much mail strangers can make the service send to an address.
    pub mail_limit: MailLimit,
    /// The texts of notifications and e-mails.
    pub texts: Arc<TextCatalog>,
    /// Credentials resolved in the last seconds.
    pub credential_cache: Arc<CredentialCache>,
    /// Uses of API keys that are not yet written to the database.
    pub key_usage: Arc<KeyUsage>,
    /// What API keys can be given.
    pub scopes: Arc<ScopeCatalog>,
    /// What a password must be.
    pub policy: PasswordPolicy,
    pub image_resizer: ImageResizer,
    /// Set once the service is about to stop.
    pub draining: Arc<AtomicBool>,
}

impl State {
    /// Whether the service is about to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
