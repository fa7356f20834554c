//! Every statement that changes keys and their secrets, and those that read them.

use std::collections::HashMap;

use crate::db::Tx;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::Text;
use ipnet::IpNet;

use super::list::{After, Selection, Tenant};
use super::model::{ApiKey, KeyOwner, KeyRecord, Sort};
use crate::credential_cache::KeyStatus;
use crate::db::schema::{api_key_reminders, api_key_secrets, api_keys, memberships, orgs, users};
use crate::error::Error;
use crate::secret::TokenHash;
use crate::values::ids::{ApiKeyId, Id as _, MembershipId, OrgId, UserId};

diesel::define_sql_function! {
    /// PostgreSQL's own.
    fn lower(text: Text) -> Text;
}

pub struct NewApiKey {
    pub user_id: UserId,
    pub stay: Option<(OrgId, MembershipId)>,
    pub name: String,
    pub remark: Option<String>,
    pub hint: String,
    pub scopes: Vec<String>,
    pub allowed_ips: Vec<IpNet>,
    pub expires_at: Option<DateTime<Utc>>,
}

pub fn count(tx: &mut Tx<'_>, user_id: UserId) -> Result<i64, Error> {
    Ok(api_keys::table
        .filter(api_keys::user_id.eq(user_id))
        .count()
        .get_result(tx.conn)?)
}

pub fn insert(tx: &mut Tx<'_>, new: NewApiKey) -> Result<ApiKeyId, Error> {
    let id = ApiKeyId::new(tx.now);
    let (org_id, membership_id) = new.stay.unzip();
    diesel::insert_into(api_keys::table)
        .values((
            api_keys::id.eq(id),
            api_keys::user_id.eq(new.user_id),
            api_keys::org_id.eq(org_id),
            api_keys::membership_id.eq(membership_id),
            api_keys::name.eq(new.name),
            api_keys::remark.eq(new.remark),
            api_keys::hint.eq(new.hint),
            api_keys::scopes.eq(new.scopes),
            api_keys::allowed_ips.eq(new.allowed_ips),
            api_keys::expires_at.eq(new.expires_at),
            api_keys::created_at.eq(tx.now),
            api_keys::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(id)
}

pub fn insert_secret(tx: &mut Tx<'_>, id: ApiKeyId, hash: &TokenHash) -> Result<(), Error> {
    diesel::insert_into(api_key_secrets::table)
        .values((
            api_key_secrets::secret_hash.eq(hash.as_bytes().as_slice()),
            api_key_secrets::api_key_id.eq(id),
            api_key_secrets::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// Lets the current secret of a key end at `ends_at`, or at once, and the one before it now.
pub fn end_secrets(tx: &mut Tx<'_>, id: ApiKeyId, ends_at: Option<DateTime<Utc>>) -> Result<(), Error> {
    let of_key = || api_key_secrets::table.filter(api_key_secrets::api_key_id.eq(id));
    match ends_at {
        None => {
            diesel::delete(of_key()).execute(tx.conn)?;
        }
        Some(ends_at) => {
            diesel::delete(of_key().filter(api_key_secrets::ends_at.is_not_null())).execute(tx.conn)?;
            diesel::update(of_key())
                .set(api_key_secrets::ends_at.eq(ends_at))
                .execute(tx.conn)?;
        }
    }
    Ok(())
}

pub fn set_hint(tx: &mut Tx<'_>, id: ApiKeyId, hint: &str) -> Result<(), Error> {
    diesel::update(api_keys::table.find(id))
        .set((api_keys::hint.eq(hint), api_keys::updated_at.eq(tx.now)))
        .execute(tx.conn)?;
    Ok(())
}

/// The owner's key, locked until the end of the transaction.
pub fn lock(tx: &mut Tx<'_>, user_id: UserId, id: ApiKeyId) -> Result<Option<ApiKey>, Error> {
    Ok(api_keys::table
        .filter(api_keys::user_id.eq(user_id))
        .filter(api_keys::id.eq(id))
        .select(ApiKey::as_select())
        .for_update()
        .first(tx.conn)
        .optional()?)
}

/// What of a key a patch changes; nothing where there is nothing.
#[derive(AsChangeset)]
#[diesel(table_name = api_keys)]
#[allow(clippy::option_option, reason = "diesel's way to tell `set null` from `leave`")]
pub struct KeyChange {
    pub name: Option<String>,
    pub remark: Option<Option<String>>,
    pub scopes: Option<Vec<String>>,
    pub allowed_ips: Option<Vec<IpNet>>,
    pub disabled_at: Option<Option<DateTime<Utc>>>,
}

pub fn update(tx: &mut Tx<'_>, id: ApiKeyId, change: KeyChange) -> Result<(), Error> {
    diesel::update(api_keys::table.find(id))
        .set((
            change,
            api_keys::version.eq(api_keys::version + 1),
            api_keys::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

pub fn set_expiry(tx: &mut Tx<'_>, id: ApiKeyId, expires_at: DateTime<Utc>) -> Result<(), Error> {
    diesel::update(api_keys::table.find(id))
        .set((api_keys::expires_at.eq(expires_at), api_keys::updated_at.eq(tx.now)))
        .execute(tx.conn)?;
    Ok(())
}

/// Counts a reminder as sent that would be due before the expiry it is about was even chosen.
pub fn skip_reminders(tx: &mut Tx<'_>, id: ApiKeyId, expires_at: DateTime<Utc>, days: &[i32]) -> Result<(), Error> {
    let rows: Vec<_> = days
        .iter()
        .filter(|days| expires_at - TimeDelta::days(i64::from(**days)) < tx.now)
        .map(|days| {
            (
                api_key_reminders::api_key_id.eq(id),
                api_key_reminders::expires_at.eq(expires_at),
                api_key_reminders::days_before.eq(*days),
                api_key_reminders::sent_at.eq(tx.now),
            )
        })
        .collect();
    diesel::insert_into(api_key_reminders::table)
        .values(rows)
        .on_conflict_do_nothing()
        .execute(tx.conn)?;
    Ok(())
}

/// Deletes keys of one tenant; says which there were. They are locked in the order of their ids, so that two who delete
/// the same keys do not wait for each other.
pub fn delete(tx: &mut Tx<'_>, tenant: Tenant, ids: &[ApiKeyId]) -> Result<Vec<ApiKey>, Error> {
    let wanted = api_keys::table
        .filter(api_keys::id.eq_any(ids))
        .select(ApiKey::as_select())
        .order(api_keys::id)
        .for_update();
    let found: Vec<ApiKey> = match tenant {
        Tenant::Owner(user_id) => wanted.filter(api_keys::user_id.eq(user_id)).load(tx.conn)?,
        Tenant::Org(org_id) => wanted.filter(api_keys::org_id.eq(org_id)).load(tx.conn)?,
        Tenant::Member(org_id, user_id) => wanted
            .filter(api_keys::org_id.eq(org_id))
            .filter(api_keys::user_id.eq(user_id))
            .load(tx.conn)?,
    };
    let ids: Vec<ApiKeyId> = found.iter().map(|key| key.id).collect();
    diesel::delete(api_keys::table.filter(api_keys::id.eq_any(ids))).execute(tx.conn)?;
    Ok(found)
}

/// Switches off what a person made since an instant; says how many keys that were.
pub fn disable_made_since(tx: &mut Tx<'_>, user_id: UserId, since: DateTime<Utc>) -> Result<Vec<ApiKey>, Error> {
    let made = api_keys::table
        .filter(api_keys::user_id.eq(user_id))
        .filter(api_keys::created_at.ge(since))
        .filter(api_keys::disabled_at.is_null());
    Ok(diesel::update(made)
        .set((
            api_keys::disabled_at.eq(tx.now),
            api_keys::version.eq(api_keys::version + 1),
            api_keys::updated_at.eq(tx.now),
        ))
        .returning(ApiKey::as_returning())
        .get_results(tx.conn)?)
}

/// Reads keys, with all that their status and scopes depend on.
pub fn select(tx: &mut Tx<'_>, selection: &Selection<'_>) -> Result<Vec<KeyRecord>, Error> {
    let mut records = select_by_themselves(tx, selection)?;
    // Personal keys are spared it: most are that, and to join what they do not have costs as much as all the rest.
    if records.iter().any(|record| record.key.org_id.is_some()) {
        add_orgs(tx, &mut records)?;
    }
    Ok(records)
}

/// Puts to keys the organisations they act in, and the memberships they hang on.
fn add_orgs(tx: &mut Tx<'_>, records: &mut [KeyRecord]) -> Result<(), Error> {
    type Org = (String, String);
    type Membership = (MembershipId, String, Vec<String>);
    let keys = || records.iter().map(|record| &record.key);
    let org_ids: Vec<OrgId> = keys().filter_map(|key| key.org_id).collect();
    let membership_ids: Vec<MembershipId> = keys().filter_map(|key| key.membership_id).collect();
    let stays: Vec<(OrgId, Org, Option<Membership>)> = orgs::table
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
    let (mut named, mut members) = (HashMap::new(), HashMap::new());
    for (org_id, org, membership) in stays {
        named.insert(org_id, org);
        if let Some((id, role, disabled_services)) = membership {
            members.insert(id, (role, disabled_services));
        }
    }
    for record in records {
        record.org = record.key.org_id.and_then(|id| named.get(&id).cloned());
        record.membership = record.key.membership_id.and_then(|id| members.get(&id).cloned());
    }
    Ok(())
}

#[expect(
    clippy::too_many_lines,
    reason = "one query: the type of its parts cannot be named, so they cannot be functions"
)]
fn select_by_themselves(tx: &mut Tx<'_>, selection: &Selection<'_>) -> Result<Vec<KeyRecord>, Error> {
    let previous = api_key_secrets::api_key_id
        .eq(api_keys::id)
        .and(api_key_secrets::ends_at.gt(tx.now));
    let mut query = api_keys::table
        .inner_join(users::table.on(users::id.eq(api_keys::user_id)))
        .left_join(api_key_secrets::table.on(previous))
        .select((
            ApiKey::as_select(),
            (users::username, users::nickname, users::role, users::disabled_at),
            api_key_secrets::ends_at.nullable(),
        ))
        .limit(selection.limit)
        .into_boxed();
    query = match selection.tenant {
        Tenant::Owner(user_id) => query.filter(api_keys::user_id.eq(user_id)),
        Tenant::Org(org_id) => query.filter(api_keys::org_id.eq(org_id)),
        Tenant::Member(org_id, user_id) => query
            .filter(api_keys::org_id.eq(org_id))
            .filter(api_keys::user_id.eq(user_id)),
    };
    if let Some(id) = selection.id {
        query = query.filter(api_keys::id.eq(id));
    }
    if let Some(org_id) = selection.in_org {
        query = query.filter(api_keys::org_id.eq(org_id));
    }
    if let Some(q) = selection.q.filter(|q| !q.is_empty()) {
        let pattern = format!("%{}%", escaped(q));
        let name = api_keys::name.ilike(pattern);
        query = match ApiKeyId::parse(q) {
            Some(id) => query.filter(name.or(api_keys::id.eq(id))),
            None => query.filter(name),
        };
    }
    if let Some(status) = selection.status {
        let owner_works = users::disabled_at.is_null();
        let stays = api_keys::org_id.is_null().or(api_keys::membership_id.is_not_null());
        let works = owner_works.and(stays);
        let lost = users::disabled_at
            .is_not_null()
            .or(api_keys::org_id.is_not_null().and(api_keys::membership_id.is_null()));
        let expired = api_keys::expires_at.le(tx.now);
        let lasts = api_keys::expires_at.is_null().or(api_keys::expires_at.gt(tx.now));
        query = match status {
            KeyStatus::Suspended => query.filter(lost),
            KeyStatus::Disabled => query.filter(works).filter(api_keys::disabled_at.is_not_null()),
            KeyStatus::Expired => query
                .filter(works)
                .filter(api_keys::disabled_at.is_null())
                .filter(expired),
            KeyStatus::Active => query
                .filter(works)
                .filter(api_keys::disabled_at.is_null())
                .filter(lasts),
        };
    }
    macro_rules! by_instant {
        ($column:expr) => {{
            query = match &selection.after {
                Some(After { at: Some(at), id, .. }) => query.filter(
                    $column
                        .gt(*at)
                        .or($column.eq(*at).and(api_keys::id.gt(*id)))
                        .or($column.is_null()),
                ),
                Some(After { at: None, id, .. }) => query.filter($column.is_null().and(api_keys::id.gt(*id))),
                None => query,
            };
            query.order(($column.asc().nulls_last(), api_keys::id.asc()))
        }};
    }
    let query = match selection.sort {
        Sort::NewestFirst => {
            if let Some(After { at: Some(at), id, .. }) = &selection.after {
                query = query.filter(
                    api_keys::created_at
                        .le(*at)
                        .and(api_keys::created_at.lt(*at).or(api_keys::id.lt(*id))),
                );
            }
            query.order((api_keys::created_at.desc(), api_keys::id.desc()))
        }
        Sort::OldestFirst => {
            if let Some(After { at: Some(at), id, .. }) = &selection.after {
                query = query.filter(
                    api_keys::created_at
                        .ge(*at)
                        .and(api_keys::created_at.gt(*at).or(api_keys::id.gt(*id))),
                );
            }
            query.order((api_keys::created_at.asc(), api_keys::id.asc()))
        }
        Sort::Name => {
            if let Some(After {
                name: Some(name), id, ..
            }) = &selection.after
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
        Sort::ExpiresAt => by_instant!(api_keys::expires_at),
        Sort::LastUsedAt => by_instant!(api_keys::last_used_at),
    };
    // The rows are large: that they find their room at once saves more than it looks.
    let mut records = Vec::with_capacity(usize::try_from(selection.limit).unwrap_or_default());
    for row in query.load_iter::<(ApiKey, KeyOwner, Option<DateTime<Utc>>), DefaultLoadingMode>(tx.conn)? {
        let (key, owner, previous_secret_ends_at) = row?;
        records.push(KeyRecord {
            key,
            owner,
            org: None,
            membership: None,
            previous_secret_ends_at,
        });
    }
    Ok(records)
}

/// A pattern that matches the text literally.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '%' | '_') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
