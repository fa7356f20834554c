//! What of the keys is asked for, and in which order.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::model::{KeyRecord, Sort};
use crate::auth::Principal;
use crate::credential_cache::KeyStatus;
use crate::values::ids::{ApiKeyId, OrgId, UserId};

/// Whose keys.
#[derive(Clone, Copy, Debug)]
pub enum Tenant {
    /// A person's own.
    Owner(UserId),
    /// Those that act in an organisation.
    Org(OrgId),
    /// Those of a person that act in an organisation.
    Member(OrgId, UserId),
}

impl Tenant {
    /// Those that a caller is shown.
    pub fn of(caller: &Principal) -> Self {
        match caller.bound_to() {
            Some(org_id) => Self::Member(org_id, caller.user_id),
            None => Self::Owner(caller.user_id),
        }
    }
}

/// Which keys.
#[derive(Clone, Debug)]
pub struct Selection<'a> {
    pub tenant: Tenant,
    pub id: Option<ApiKeyId>,
    pub in_org: Option<OrgId>,
    pub q: Option<&'a str>,
    pub status: Option<KeyStatus>,
    pub sort: Sort,
    pub after: Option<After>,
    pub limit: i64,
}

impl Selection<'_> {
    /// All of a tenant's.
    pub const fn of(tenant: Tenant) -> Self {
        Self {
            tenant,
            id: None,
            in_org: None,
            q: None,
            status: None,
            sort: Sort::NewestFirst,
            after: None,
            limit: 1,
        }
    }
}

/// Behind which key a page begins: what it is sorted by there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct After {
    pub at: Option<DateTime<Utc>>,
    pub name: Option<String>,
    pub id: ApiKeyId,
}

impl After {
    /// The place of a key in an order.
    pub fn of(record: &KeyRecord, sort: Sort) -> Self {
        let key = &record.key;
        let (at, name) = match sort {
            Sort::NewestFirst | Sort::OldestFirst => (Some(key.created_at), None),
            Sort::Name => (None, Some(key.name.clone())),
            Sort::ExpiresAt => (key.expires_at, None),
            Sort::LastUsedAt => (key.last_used_at, None),
        };
        Self { at, name, id: key.id }
    }
}
