//! What handlers work with: the doors to the database, the clock, the keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::auth::{AccessTokens, Catalogue, Hasher, Memory, Policy, Throttle, Usage};
use crate::clock::Clock;
use crate::config::Config;
use crate::db::Db;
use crate::http::RateLimit;
use crate::mail::MailLimit;
use crate::picture::Painter;
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
    pub hasher: Hasher,
    /// Counts attempts at passwords.
    pub throttle: Throttle,
    /// Limits the rate of public requests.
    pub rate_limit: RateLimit,
    /// Limits how much mail strangers can make the service send to an address.
    pub mail_limit: MailLimit,
    /// How credentials stood a moment ago.
    pub memory: Arc<Memory>,
    /// Which API keys were used.
    pub usage: Arc<Usage>,
    /// What API keys can be given.
    pub scopes: Arc<Catalogue>,
    /// What a password must be.
    pub policy: Policy,
    /// Makes stored images of pictures.
    pub painter: Painter,
    /// Wakes the worker: there is mail to send.
    pub mail_waiting: Arc<Notify>,
    /// Set once the service is about to stop.
    pub draining: Arc<AtomicBool>,
}

impl State {
    /// Whether the service is about to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
