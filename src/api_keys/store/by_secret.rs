//! The query of authentication: everything about a key, by the hash of its secret, in one statement.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use ipnet::IpNet;

use crate::api_keys::model::{KeyMembership, org_context};
use crate::auth::{ActiveOrg, Credential, PlatformRole, Principal, ScopeCatalog, ScopeContext};
use crate::credential_cache::{KeyState, ResolvedKey};
use crate::db::Tx;
use crate::db::schema::{api_key_secrets, api_keys, memberships, orgs, users};
use crate::error::Error;
use crate::secret::TokenHash;
use crate::values::ids::{ApiKeyId, OrgId, UserId};

#[derive(Queryable)]
struct KeyBySecret {
    secret_ends_at: Option<DateTime<Utc>>,
    key: KeyColumns,
    owner: OwnerColumns,
    org_slug: Option<String>,
    membership: Option<KeyMembership>,
}

#[derive(Queryable)]
struct KeyColumns {
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
struct OwnerColumns {
    username: Option<String>,
    nickname: Option<String>,
    role: PlatformRole,
    disabled_at: Option<DateTime<Utc>>,
}

/// The key with this secret, whatever its status.
pub fn find_by_secret(tx: &mut Tx<'_>, catalog: &ScopeCatalog, hash: &TokenHash) -> Result<Option<ResolvedKey>, Error> {
    let found: Option<KeyBySecret> = api_key_secrets::table
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
            (users::username, users::nickname, users::role, users::disabled_at),
            orgs::slug.nullable(),
            (memberships::id, memberships::role, memberships::disabled_services).nullable(),
        ))
        .first(tx.conn)
        .optional()?;
    Ok(found.map(|found| found.resolve(catalog, hash)))
}

impl KeyBySecret {
    fn resolve(self, catalog: &ScopeCatalog, secret_hash: &TokenHash) -> ResolvedKey {
        let Self {
            secret_ends_at,
            key,
            owner,
            org_slug,
            membership,
        } = self;
        let context = ScopeContext {
            platform_role: owner.role,
            org: org_context(key.org_id, membership.as_ref()),
        };
        let scopes = catalog.effective(&key.scopes, &context);
        let membership_id = membership.as_ref().map(|membership| membership.id);
        let active_org = key
            .org_id
            .zip(membership.as_ref())
            .map(|(org_id, membership)| ActiveOrg {
                org_id,
                role: membership.role,
            });
        let principal = Principal {
            user_id: key.user_id,
            name: owner.username.clone().or(owner.nickname),
            username: owner.username,
            role: owner.role,
            active_org,
            disabled_services: membership
                .map(|membership| membership.disabled_services)
                .unwrap_or_default(),
            credential: Credential::ApiKey {
                id: key.id,
                secret_hash: *secret_hash,
                name: key.name.clone(),
                scopes,
            },
        };
        ResolvedKey {
            id: key.id,
            principal: Arc::new(principal),
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
