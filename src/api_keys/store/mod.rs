//! The queries on keys and their secrets. `list` has the query of lists and single keys, `by_secret` that of
//! authentication; all other statements are here.

mod by_secret;
mod list;

pub use by_secret::find_by_secret;
pub use list::select;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use ipnet::IpNet;

use super::filter::TenantScope;
use super::model::ApiKey;
use crate::db::Tx;
use crate::db::schema::{api_key_reminders, api_key_secrets, api_keys};
use crate::error::Error;
use crate::secret::TokenHash;
use crate::values::ids::{ApiKeyId, MembershipId, OrgId, UserId};

/// A client that computes the expiry of a key for 30 days may have a clock that is ahead.
const REMINDER_MARGIN: TimeDelta = TimeDelta::hours(1);

/// A row to insert; the id and the timestamps are added by [`insert`].
#[derive(Insertable)]
#[diesel(table_name = api_keys)]
pub struct ApiKeyInsert {
    pub user_id: UserId,
    pub org_id: Option<OrgId>,
    pub membership_id: Option<MembershipId>,
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

pub fn insert(tx: &mut Tx<'_>, row: ApiKeyInsert) -> Result<ApiKeyId, Error> {
    let id = ApiKeyId::new(tx.now);
    diesel::insert_into(api_keys::table)
        .values((
            api_keys::id.eq(id),
            row,
            api_keys::created_at.eq(tx.now),
            api_keys::updated_at.eq(tx.now),
            api_keys::granted_at.eq(tx.now),
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

/// Ends the current secret of a key at `ends_at`, or now if that is `None`, and the previous one, if any, now.
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

/// Sets the hint of a new secret.
pub fn set_hint(tx: &mut Tx<'_>, id: ApiKeyId, hint: &str) -> Result<(), Error> {
    diesel::update(api_keys::table.find(id))
        .set((
            api_keys::hint.eq(hint),
            api_keys::updated_at.eq(tx.now),
            api_keys::granted_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// The key of this user, locked until the end of the transaction.
pub fn lock(tx: &mut Tx<'_>, user_id: UserId, id: ApiKeyId) -> Result<Option<ApiKey>, Error> {
    Ok(api_keys::table
        .filter(api_keys::user_id.eq(user_id))
        .filter(api_keys::id.eq(id))
        .select(ApiKey::as_select())
        .for_update()
        .first(tx.conn)
        .optional()?)
}

/// The columns to change; `None` leaves a column as it is, `Some(None)` sets it to null.
#[derive(AsChangeset)]
#[diesel(table_name = api_keys)]
#[allow(
    clippy::option_option,
    reason = "diesel distinguishes \"set to null\" from \"keep\" by it"
)]
pub struct ApiKeyChangeset {
    pub name: Option<String>,
    pub remark: Option<Option<String>>,
    pub scopes: Option<Vec<String>>,
    pub allowed_ips: Option<Vec<IpNet>>,
    pub disabled_at: Option<Option<DateTime<Utc>>>,
    /// Set if the key gets more than it has.
    pub granted_at: Option<DateTime<Utc>>,
}

#[derive(AsChangeset)]
#[diesel(table_name = api_keys)]
struct ExpiryChangeset {
    expires_at: DateTime<Utc>,
    granted_at: Option<DateTime<Utc>>,
}

pub fn update(tx: &mut Tx<'_>, id: ApiKeyId, changeset: ApiKeyChangeset) -> Result<(), Error> {
    diesel::update(api_keys::table.find(id))
        .set((
            changeset,
            api_keys::version.eq(api_keys::version + 1),
            api_keys::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// `granted_at` is set if the key had expired and comes to life again.
pub fn set_expiry(
    tx: &mut Tx<'_>,
    id: ApiKeyId,
    expires_at: DateTime<Utc>,
    granted_at: Option<DateTime<Utc>>,
) -> Result<(), Error> {
    let changeset = ExpiryChangeset { expires_at, granted_at };
    diesel::update(api_keys::table.find(id))
        .set((changeset, api_keys::updated_at.eq(tx.now)))
        .execute(tx.conn)?;
    Ok(())
}

/// Marks those reminders as sent that would be due within [`REMINDER_MARGIN`]. The owner has just chosen the expiry and needs no
/// reminder that it is near.
pub fn skip_past_reminders(
    tx: &mut Tx<'_>,
    id: ApiKeyId,
    expires_at: DateTime<Utc>,
    days_before: &[i32],
) -> Result<(), Error> {
    let rows: Vec<_> = days_before
        .iter()
        .filter(|days| expires_at - TimeDelta::days(i64::from(**days)) <= tx.now + REMINDER_MARGIN)
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

/// Deletes those of the keys that belong to the tenant, and returns them. The rows are locked in the order of their
/// ids, so that two transactions that delete the same keys cannot deadlock.
pub fn delete(tx: &mut Tx<'_>, tenant: TenantScope, ids: &[ApiKeyId]) -> Result<Vec<ApiKey>, Error> {
    let keys = api_keys::table
        .filter(api_keys::id.eq_any(ids))
        .select(ApiKey::as_select())
        .order(api_keys::id)
        .for_update();
    let found: Vec<ApiKey> = match tenant {
        TenantScope::User(user_id) => keys.filter(api_keys::user_id.eq(user_id)).load(tx.conn)?,
        TenantScope::Org(org_id) => keys.filter(api_keys::org_id.eq(org_id)).load(tx.conn)?,
        TenantScope::Member { org_id, user_id } => keys
            .filter(api_keys::org_id.eq(org_id))
            .filter(api_keys::user_id.eq(user_id))
            .load(tx.conn)?,
    };
    let ids: Vec<ApiKeyId> = found.iter().map(|key| key.id).collect();
    diesel::delete(api_keys::table.filter(api_keys::id.eq_any(ids))).execute(tx.conn)?;
    Ok(found)
}

/// Disables the keys of a person that were created or got more since an instant, and returns their number.
pub fn disable_granted_since(tx: &mut Tx<'_>, user_id: UserId, since: DateTime<Utc>) -> Result<usize, Error> {
    let granted: Vec<ApiKeyId> = api_keys::table
        .filter(api_keys::user_id.eq(user_id))
        .filter(api_keys::granted_at.ge(since))
        .filter(api_keys::disabled_at.is_null())
        .select(api_keys::id)
        .order(api_keys::id)
        .for_no_key_update()
        .load(tx.conn)?;
    Ok(diesel::update(api_keys::table.filter(api_keys::id.eq_any(granted)))
        .set((
            api_keys::disabled_at.eq(tx.now),
            api_keys::version.eq(api_keys::version + 1),
            api_keys::updated_at.eq(tx.now),
        ))
        .execute(tx.conn)?)
}
