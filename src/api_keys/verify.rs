//! The decision about a presented API key. The authentication middleware (and through it `GET /auth/forward`), `POST
//! /api-keys/verify` and `POST /auth/introspect` all call [`verify`]. The order of the checks and
//! the counting of uses are implemented only here.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{format, store};
use crate::auth::{Principal, ScopeCatalog};
use crate::config::Feature;
use crate::credential_cache::{Cached, KeyStatus, ResolvedKey};
use crate::db::Tx;
use crate::error::Error;
use crate::secret::TokenHash;
use crate::state::State;
use crate::values::ids::ApiKeyId;

/// The text that a client presented as an API key, with the client's address and the scopes that the request needs.
pub struct PresentedKey<'a> {
    pub secret: &'a str,
    /// The address of the client; `None` if the calling service did not send it.
    pub ip: Option<IpAddr>,
    /// All of them are required.
    pub required_scopes: &'a [String],
}

/// When the use of a valid key is counted. The use of a rejected key is always counted at once, as denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountUse {
    Now,
    /// By [`count_request`], when the response is known: the handler may still deny the request for a missing scope.
    WithResponse,
}

/// The first check that a known key failed, in the order of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    Suspended,
    Disabled,
    Expired,
    IpNotAllowed,
    InsufficientScope,
}

pub enum Verdict {
    /// Prefix, length, alphabet or checksum are wrong. Found without a look-up.
    Malformed,
    /// No key has this secret, or its grace period after a rotation has ended.
    Unknown,
    Rejected(Arc<Cached<ResolvedKey>>, Rejection),
    Valid(Arc<Cached<ResolvedKey>>),
}

/// Decides whether a key is accepted now, and counts the use.
///
/// # Errors
/// Only if the key is not cached and the database fails.
pub async fn verify(
    state: &State,
    now: DateTime<Utc>,
    presented: PresentedKey<'_>,
    count_use: CountUse,
) -> Result<Verdict, Error> {
    if !format::is_well_formed(&state.config.key_prefix, presented.secret) {
        return Ok(Verdict::Malformed);
    }
    // While the feature is off, owners can neither see nor revoke their keys.
    if !state.config.is_enabled(Feature::ApiKeys) {
        return Ok(Verdict::Unknown);
    }
    let key = match resolve(state, presented.secret).await? {
        Some(key) if key.is_secret_live(now) => key,
        _ => return Ok(Verdict::Unknown),
    };
    let rejection = check(&key, now, presented.ip, presented.required_scopes);
    if rejection.is_some() || count_use == CountUse::Now {
        state.key_usage.record(key.id, now, presented.ip, rejection.is_some());
    }
    Ok(match rejection {
        Some(rejection) => Verdict::Rejected(key, rejection),
        None => Verdict::Valid(key),
    })
}

/// Decides anew, in the transaction of a change, about a key that was accepted when the request began. The use is not counted
/// again. `None` in the error: no key has this secret any more.
///
/// # Errors
/// Only if the database fails.
pub fn verify_again(
    tx: &mut Tx<'_>,
    catalog: &ScopeCatalog,
    secret_hash: &TokenHash,
    ip: IpAddr,
) -> Result<Result<Arc<Principal>, Option<Rejection>>, Error> {
    let Some(key) = store::find_by_secret(tx, catalog, secret_hash)?.filter(|key| key.is_secret_live(tx.now)) else {
        return Ok(Err(None));
    };
    Ok(match check(&key, tx.now, Some(ip), &[]) {
        Some(rejection) => Err(Some(rejection)),
        None => Ok(key.principal),
    })
}

/// Counts a request with a valid key, after its response: see [`CountUse::WithResponse`].
pub fn count_request(state: &State, id: ApiKeyId, now: DateTime<Utc>, ip: IpAddr, denied: bool) {
    state.key_usage.record(id, now, Some(ip), denied);
}

fn check(key: &ResolvedKey, now: DateTime<Utc>, ip: Option<IpAddr>, required_scopes: &[String]) -> Option<Rejection> {
    match key.state.status(now).0 {
        KeyStatus::Suspended => Some(Rejection::Suspended),
        KeyStatus::Disabled => Some(Rejection::Disabled),
        KeyStatus::Expired => Some(Rejection::Expired),
        KeyStatus::Active if !key.allows_ip(ip) => Some(Rejection::IpNotAllowed),
        KeyStatus::Active if !required_scopes.iter().all(|scope| key.scopes().contains(scope)) => {
            Some(Rejection::InsufficientScope)
        }
        KeyStatus::Active => None,
    }
}

/// The key with this secret, from the credential cache or the database, whatever its status.
async fn resolve(state: &State, secret: &str) -> Result<Option<Arc<Cached<ResolvedKey>>>, Error> {
    let hash = TokenHash::of(secret.as_bytes());
    let refresh = || {
        let state = state.clone();
        async move { read(&state, hash).await }
    };
    match state.credential_cache.key(&hash, refresh) {
        Some(key) => Ok(Some(key)),
        // Boxed, so that the cache-hit path doesn't carry the large future of a database read.
        None => Box::pin(read(state, hash)).await,
    }
}

async fn read(state: &State, hash: TokenHash) -> Result<Option<Arc<Cached<ResolvedKey>>>, Error> {
    let (read_version, catalog) = (state.credential_cache.read_version(), Arc::clone(&state.scopes));
    let found = state
        .db
        .read(state.clock.now(), move |tx| store::find_by_secret(tx, &catalog, &hash))
        .await?;
    Ok(found.map(|key| state.credential_cache.insert_key(hash, read_version, key)))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::auth::{Credential, PlatformRole};
    use crate::credential_cache::KeyState;
    use crate::values::ids::UserId;

    fn key(now: DateTime<Utc>) -> ResolvedKey {
        let id = ApiKeyId::new(now);
        let principal = Principal {
            user_id: UserId::new(now),
            name: Some("ada".to_owned()),
            username: Some("ada".to_owned()),
            role: PlatformRole::User,
            active_org: None,
            disabled_services: Vec::new(),
            credential: Credential::ApiKey {
                id,
                secret_hash: TokenHash::of(b"a secret"),
                name: "a key".to_owned(),
                scopes: vec!["me:read".to_owned()],
            },
        };
        ResolvedKey {
            id,
            principal: Arc::new(principal),
            name: "a key".to_owned(),
            org_slug: None,
            org_id: None,
            membership_id: None,
            state: KeyState {
                owner_disabled_at: None,
                membership_lost: false,
                disabled_at: None,
                expires_at: None,
            },
            allowed_ips: Vec::new(),
            created_at: now,
            secret_ends_at: None,
        }
    }

    #[test]
    fn checks_run_from_status_to_address_to_scopes() {
        let now = crate::clock::Clock::system().now();
        let ip = |text: &str| Some(text.parse().unwrap());
        let scopes = ["me:read".to_owned(), "me:write".to_owned()];
        let mut key = key(now);
        assert_eq!(check(&key, now, None, &scopes[..1]), None);
        assert_eq!(check(&key, now, None, &scopes), Some(Rejection::InsufficientScope));
        key.allowed_ips = vec!["10.0.0.0/8".parse().unwrap()];
        assert_eq!(check(&key, now, ip("10.1.1.1"), &[]), None);
        assert_eq!(check(&key, now, ip("::ffff:10.1.1.1"), &[]), None);
        assert_eq!(check(&key, now, None, &scopes), Some(Rejection::IpNotAllowed));
        assert_eq!(check(&key, now, ip("11.1.1.1"), &scopes), Some(Rejection::IpNotAllowed));
        key.state.expires_at = Some(now);
        assert_eq!(check(&key, now, None, &scopes), Some(Rejection::Expired));
        assert_eq!(
            check(&key, now - TimeDelta::seconds(1), None, &scopes),
            Some(Rejection::IpNotAllowed)
        );
        key.state.disabled_at = Some(now);
        assert_eq!(check(&key, now, None, &scopes), Some(Rejection::Disabled));
        key.state.membership_lost = true;
        assert_eq!(check(&key, now, None, &scopes), Some(Rejection::Suspended));
    }
}
