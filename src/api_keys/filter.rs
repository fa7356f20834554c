//! The filter and the order of a list of keys.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::model::{KeyDetails, Sort};
use crate::auth::Principal;
use crate::credential_cache::KeyStatus;
use crate::values::ids::{ApiKeyId, OrgId, UserId};

/// The keys that a query can return. Not named `Scope`, because keys have scopes.
#[derive(Clone, Copy, Debug)]
pub enum TenantScope {
    /// All keys of a person.
    User(UserId),
    /// All keys in an organisation.
    Org(OrgId),
    /// The keys of a person in one organisation.
    Member { org_id: OrgId, user_id: UserId },
}

impl TenantScope {
    /// The caller's own keys. A caller with an API key of an organisation sees only their keys there.
    pub fn own_keys_of(caller: &Principal) -> Self {
        let user_id = caller.user_id;
        match caller.bound_to() {
            Some(org_id) => Self::Member { org_id, user_id },
            None => Self::User(user_id),
        }
    }
}

/// A list of keys. All conditions have to hold.
#[derive(Clone, Debug)]
pub struct Filter {
    pub tenant: TenantScope,
    pub id: Option<ApiKeyId>,
    pub org_id: Option<OrgId>,
    /// An id, or a part of the name in any case. Empty: all.
    pub search: Option<String>,
    pub status: Option<KeyStatus>,
    pub sort: Sort,
    /// The end of the previous page.
    pub after: Option<Position>,
    pub limit: i64,
}

impl Filter {
    /// All keys of a tenant, newest first.
    pub const fn all(tenant: TenantScope, limit: i64) -> Self {
        Self {
            tenant,
            id: None,
            org_id: None,
            search: None,
            status: None,
            sort: Sort::NewestFirst,
            after: None,
            limit,
        }
    }

    /// One key.
    pub fn by_id(tenant: TenantScope, id: ApiKeyId) -> Self {
        Self {
            id: Some(id),
            ..Self::all(tenant, 1)
        }
    }
}

/// The position of a key in a sorted list: the value it is sorted by, and its id for keys with the same value. Clients
/// carry it in their cursor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Position {
    pub at: Option<DateTime<Utc>>,
    pub name: Option<String>,
    pub id: ApiKeyId,
}

impl Position {
    pub fn of(details: &KeyDetails, sort: Sort) -> Self {
        let key = &details.key;
        let (at, name) = match sort {
            Sort::NewestFirst | Sort::OldestFirst => (Some(key.created_at), None),
            Sort::Name => (None, Some(key.name.clone())),
            Sort::ExpiresAt => (key.expires_at, None),
            Sort::LastUsedAt => (key.last_used_at, None),
        };
        Self { at, name, id: key.id }
    }
}
