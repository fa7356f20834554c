//! What authentication reads of a key: everything at once, by the hash of the secret that was shown.

use std::sync::Arc;

use crate::db::Tx;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use ipnet::IpNet;

use super::format;
use super::model::holder;
use crate::auth::{ActiveOrg, Credential, OrgRole, PlatformRole, Principal, ScopeCatalog};
use crate::config::Feature;
use crate::credential_cache::{Cached, KeyState, ResolvedKey};
use crate::db::schema::{api_key_secrets, api_keys, memberships, orgs, users};
use crate::error::Error;
use crate::secret::TokenHash;
use crate::state::State;
use crate::values::ids::{ApiKeyId, MembershipId, OrgId, UserId};

#[derive(Queryable)]
struct Found {
    secret_ends_at: Option<DateTime<Utc>>,
    key: FoundKey,
    owner: FoundOwner,
    org_slug: Option<String>,
    membership: Option<(MembershipId, String, Vec<String>)>,
}

#[derive(Queryable)]
struct FoundKey {
    id: ApiKeyId,
    user_id: UserId,
    org_id: Option<OrgId>,
    name: String,
    scopes: Vec<String>,
    allowed_ips: Vec<IpNet>,
    expires_at: Option<DateTime<Utc>>,
    disabled_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

#[derive(Queryable)]
struct FoundOwner {
    username: Option<String>,
    email: String,
    role: String,
    disabled_at: Option<DateTime<Utc>>,
}

/// The key behind a secret, whatever its status.
///
/// # Errors
/// When the database fails.
fn find_standing(tx: &mut Tx<'_>, catalogue: &ScopeCatalog, hash: &TokenHash) -> Result<Option<ResolvedKey>, Error> {
    let found: Option<Found> = api_key_secrets::table
        .inner_join(api_keys::table.on(api_keys::id.eq(api_key_secrets::api_key_id)))
        .inner_join(users::table.on(users::id.eq(api_keys::user_id)))
        .left_join(orgs::table.on(orgs::id.nullable().eq(api_keys::org_id)))
        .left_join(memberships::table.on(memberships::id.nullable().eq(api_keys::membership_id)))
        .filter(api_key_secrets::secret_hash.eq(hash.as_bytes().as_slice()))
        .select((
            api_key_secrets::ends_at,
            (
                api_keys::id,
                api_keys::user_id,
                api_keys::org_id,
                api_keys::name,
                api_keys::scopes,
                api_keys::allowed_ips,
                api_keys::expires_at,
                api_keys::disabled_at,
                api_keys::created_at,
            ),
            (users::username, users::email, users::role, users::disabled_at),
            orgs::slug.nullable(),
            (memberships::id, memberships::role, memberships::disabled_services).nullable(),
        ))
        .first(tx.conn)
        .optional()?;
    Ok(found.map(|found| found.standing(catalogue)))
}

impl Found {
    fn standing(self, catalogue: &ScopeCatalog) -> ResolvedKey {
        let Self {
            secret_ends_at,
            key,
            owner,
            org_slug,
            membership,
        } = self;
        let role = PlatformRole::stored(&owner.role);
        let membership_id = membership.as_ref().map(|(id, _, _)| *id);
        let stay = membership.map(|(_, role, disabled_services)| (OrgRole::stored(&role), disabled_services));
        let holder = holder(
            role,
            key.org_id.is_some(),
            stay.as_ref().map(|(role, services)| (*role, services.as_slice())),
        );
        let scopes = catalogue.effective(&key.scopes, &holder);
        let org = key
            .org_id
            .zip(stay.as_ref())
            .map(|(org_id, (role, _))| ActiveOrg { org_id, role: *role });
        let authenticated = Principal {
            user_id: key.user_id,
            name: owner.username.clone().unwrap_or(owner.email),
            username: owner.username,
            role,
            org,
            disabled_services: stay.map(|(_, services)| services).unwrap_or_default(),
            credential: Credential::ApiKey {
                id: key.id,
                name: key.name.clone(),
                scopes,
            },
        };
        ResolvedKey {
            id: key.id,
            principal: Arc::new(authenticated),
            name: key.name,
            org_slug,
            org_id: key.org_id,
            membership_id,
            state: KeyState {
                owner_disabled_at: owner.disabled_at,
                membership_lost: key.org_id.is_some() && membership_id.is_none(),
                disabled_at: key.disabled_at,
                expires_at: key.expires_at,
            },
            allowed_ips: key.allowed_ips,
            created_at: key.created_at,
            secret_ends_at,
        }
    }
}

/// What is known of what was presented as a key.
pub enum LookUp {
    /// It has not the form of one; to find that out costs nothing.
    Malformed,
    /// There is none with this secret, or none any more.
    Unknown,
    /// The key, whatever its status.
    Known(Arc<Cached<ResolvedKey>>),
}

/// The key with this secret; remembered for moments.
///
/// # Errors
/// When the database is needed and fails.
pub async fn look_up(state: &State, now: DateTime<Utc>, secret: &str) -> Result<LookUp, Error> {
    if !format::is_well_formed(&state.config.key_prefix, secret) {
        return Ok(LookUp::Malformed);
    }
    // Where nobody can see or revoke their keys, none may be good.
    if !state.config.offers(Feature::ApiKeys) {
        return Ok(LookUp::Unknown);
    }
    let hash = TokenHash::of(secret.as_bytes());
    let read_again = || {
        let state = state.clone();
        async move { read(&state, hash).await }
    };
    let standing = match state.credential_cache.key(&hash, read_again) {
        Some(standing) => Some(standing),
        // Apart: those that are remembered are spared the room of it.
        None => Box::pin(read(state, hash)).await?,
    };
    Ok(match standing {
        Some(standing) if standing.is_secret_live(now) => LookUp::Known(standing),
        _ => LookUp::Unknown,
    })
}

async fn read(state: &State, hash: TokenHash) -> Result<Option<Arc<Cached<ResolvedKey>>>, Error> {
    let (reading, catalogue) = (state.credential_cache.read_version(), Arc::clone(&state.scopes));
    let found = state
        .db
        .read(state.clock.now(), move |tx| find_standing(tx, &catalogue, &hash))
        .await?;
    Ok(found.map(|standing| state.credential_cache.insert_key(hash, reading, standing)))
}
