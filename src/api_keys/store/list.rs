//! Lists of keys: filtered, sorted, one page at a time.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::api_keys::filter::{Filter, Position, TenantScope};
use crate::api_keys::model::{ApiKey, KeyDetails, KeyMembership, KeyOrg, KeyOwner, Sort};
use crate::credential_cache::KeyStatus;
use crate::db::Tx;
use crate::db::schema::{api_key_secrets, api_keys, memberships, orgs, users};
use crate::error::Error;
use crate::values::ids::{ApiKeyId, Id as _, MembershipId, OrgId};
use crate::values::like_pattern;

diesel::define_sql_function! {
    fn lower(text: Text) -> Text;
}

/// The keys that match the filter, with everything their status and effective scopes depend on.
pub fn select(tx: &mut Tx<'_>, filter: &Filter) -> Result<Vec<KeyDetails>, Error> {
    let mut keys = select_without_orgs(tx, filter)?;
    // Skip the organisations for personal keys (the common case): joining them doubles the query time.
    if keys.iter().any(|details| details.key.org_id.is_some()) {
        add_orgs(tx, &mut keys)?;
    }
    Ok(keys)
}

/// Adds the organisations and memberships of the keys.
fn add_orgs(tx: &mut Tx<'_>, details: &mut [KeyDetails]) -> Result<(), Error> {
    let keys = || details.iter().map(|details| &details.key);
    let org_ids: Vec<OrgId> = keys().filter_map(|key| key.org_id).collect();
    let membership_ids: Vec<MembershipId> = keys().filter_map(|key| key.membership_id).collect();
    let rows: Vec<(OrgId, KeyOrg, Option<KeyMembership>)> = orgs::table
        .left_join(
            memberships::table.on(memberships::org_id
                .eq(orgs::id)
                .and(memberships::id.eq_any(membership_ids))),
        )
        .filter(orgs::id.eq_any(org_ids))
        .select((
            orgs::id,
            (orgs::name, orgs::slug),
            (memberships::id, memberships::role, memberships::disabled_services).nullable(),
        ))
        .load(tx.conn)?;
    let (mut orgs_by_id, mut memberships_by_id) = (HashMap::new(), HashMap::new());
    for (org_id, org, membership) in rows {
        orgs_by_id.insert(org_id, org);
        if let Some(membership) = membership {
            memberships_by_id.insert(membership.id, membership);
        }
    }
    for details in details {
        let key = &details.key;
        details.org = key.org_id.and_then(|id| orgs_by_id.get(&id).cloned());
        details.membership = key.membership_id.and_then(|id| memberships_by_id.get(&id).cloned());
    }
    Ok(())
}

#[expect(
    clippy::too_many_lines,
    reason = "one query; diesel's types of its parts are too long to be written as those of functions"
)]
fn select_without_orgs(tx: &mut Tx<'_>, filter: &Filter) -> Result<Vec<KeyDetails>, Error> {
    let is_previous_secret = api_key_secrets::api_key_id
        .eq(api_keys::id)
        .and(api_key_secrets::ends_at.gt(tx.now));
    let mut query = api_keys::table
        .inner_join(users::table.on(users::id.eq(api_keys::user_id)))
        .left_join(api_key_secrets::table.on(is_previous_secret))
        .select((
            ApiKey::as_select(),
            (users::username, users::nickname, users::role, users::disabled_at),
            api_key_secrets::ends_at.nullable(),
        ))
        .limit(filter.limit)
        .into_boxed();
    query = match filter.tenant {
        TenantScope::User(user_id) => query.filter(api_keys::user_id.eq(user_id)),
        TenantScope::Org(org_id) => query.filter(api_keys::org_id.eq(org_id)),
        TenantScope::Member { org_id, user_id } => query
            .filter(api_keys::org_id.eq(org_id))
            .filter(api_keys::user_id.eq(user_id)),
    };
    if let Some(id) = filter.id {
        query = query.filter(api_keys::id.eq(id));
    }
    if let Some(org_id) = filter.org_id {
        query = query.filter(api_keys::org_id.eq(org_id));
    }
    if let Some(search) = filter.search.as_deref().filter(|search| !search.is_empty()) {
        let name_matches = api_keys::name.ilike(like_pattern(search));
        query = match ApiKeyId::parse(search) {
            Some(id) => query.filter(name_matches.or(api_keys::id.eq(id))),
            None => query.filter(name_matches),
        };
    }
    if let Some(status) = filter.status {
        // The same conditions as `KeyState::status`, in the same order.
        let suspended = users::disabled_at
            .is_not_null()
            .or(api_keys::org_id.is_not_null().and(api_keys::membership_id.is_null()));
        let not_suspended = users::disabled_at
            .is_null()
            .and(api_keys::org_id.is_null().or(api_keys::membership_id.is_not_null()));
        let expired = api_keys::expires_at.le(tx.now);
        let not_expired = api_keys::expires_at.is_null().or(api_keys::expires_at.gt(tx.now));
        query = match status {
            KeyStatus::Suspended => query.filter(suspended),
            KeyStatus::Disabled => query.filter(not_suspended).filter(api_keys::disabled_at.is_not_null()),
            KeyStatus::Expired => query
                .filter(not_suspended)
                .filter(api_keys::disabled_at.is_null())
                .filter(expired),
            KeyStatus::Active => query
                .filter(not_suspended)
                .filter(api_keys::disabled_at.is_null())
                .filter(not_expired),
        };
    }
    // Ascending by a column that can be null, nulls last.
    macro_rules! by_nullable_instant {
        ($column:expr) => {{
            query = match &filter.after {
                Some(Position { at: Some(at), id, .. }) => query.filter(
                    $column
                        .gt(*at)
                        .or($column.eq(*at).and(api_keys::id.gt(*id)))
                        .or($column.is_null()),
                ),
                Some(Position { at: None, id, .. }) => query.filter($column.is_null().and(api_keys::id.gt(*id))),
                None => query,
            };
            query.order(($column.asc().nulls_last(), api_keys::id.asc()))
        }};
    }
    let query = match filter.sort {
        Sort::NewestFirst => {
            if let Some(Position { at: Some(at), id, .. }) = &filter.after {
                query = query.filter(
                    api_keys::created_at
                        .le(*at)
                        .and(api_keys::created_at.lt(*at).or(api_keys::id.lt(*id))),
                );
            }
            query.order((api_keys::created_at.desc(), api_keys::id.desc()))
        }
        Sort::OldestFirst => {
            if let Some(Position { at: Some(at), id, .. }) = &filter.after {
                query = query.filter(
                    api_keys::created_at
                        .ge(*at)
                        .and(api_keys::created_at.gt(*at).or(api_keys::id.gt(*id))),
                );
            }
            query.order((api_keys::created_at.asc(), api_keys::id.asc()))
        }
        Sort::Name => {
            if let Some(Position {
                name: Some(name), id, ..
            }) = &filter.after
            {
                let after = lower(name.clone());
                query = query.filter(
                    lower(api_keys::name)
                        .gt(after.clone())
                        .or(lower(api_keys::name).eq(after).and(api_keys::id.gt(*id))),
                );
            }
            query.order((lower(api_keys::name).asc(), api_keys::id.asc()))
        }
        Sort::ExpiresAt => by_nullable_instant!(api_keys::expires_at),
        Sort::LastUsedAt => by_nullable_instant!(api_keys::last_used_at),
    };
    // Allocated once: the rows are large, and growing the vector would copy them.
    let mut keys = Vec::with_capacity(usize::try_from(filter.limit).unwrap_or_default());
    for row in query.load_iter::<(ApiKey, KeyOwner, Option<DateTime<Utc>>), DefaultLoadingMode>(tx.conn)? {
        let (key, owner, previous_secret_ends_at) = row?;
        keys.push(KeyDetails {
            key,
            owner,
            org: None,
            membership: None,
            previous_secret_ends_at,
        });
    }
    Ok(keys)
}
