//! Writes the uses of keys, counted in memory by [`KeyUsage`](crate::auth::KeyUsage), to the database, and reads them.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date, Inet, Nullable, Timestamptz, Uuid as SqlUuid};
use ipnet::IpNet;

use crate::auth::PendingUsage;
use crate::db::Tx;
use crate::db::schema::{api_key_usage, api_keys};
use crate::db::sweep::Sweep;
use crate::error::Error;
use crate::state::State;
use crate::values::ids::ApiKeyId;

/// Keys per transaction.
const BATCH_SIZE: usize = 1000;
/// How long daily counts are kept.
const USAGE_RETENTION: TimeDelta = TimeDelta::days(90);

/// Writes everything counted so far to the database. After an error, what was not written is kept for the next flush.
pub async fn flush(state: &State) -> Result<(), Error> {
    let _guard = state.key_usage.flush_lock.lock().await;
    let mut batches: Vec<Arc<Vec<(ApiKeyId, PendingUsage)>>> = Vec::new();
    let mut pending = state.key_usage.take().into_iter().peekable();
    while pending.peek().is_some() {
        batches.push(Arc::new(pending.by_ref().take(BATCH_SIZE).collect()));
    }
    let mut outcome = Ok(());
    for batch in batches {
        if outcome.is_ok() {
            let batch = Arc::clone(&batch);
            outcome = state
                .db
                .transaction(state.clock.now(), move |tx| write(tx, &batch))
                .await;
        }
        if outcome.is_err() {
            state.key_usage.restore(batch.iter().cloned());
        }
    }
    outcome
}

/// Flushes, so that a following query sees all uses. If the database accepts no writes, the query returns the counts of
/// the last flush instead of failing.
pub async fn flush_before_read(state: &State) {
    if let Err(error) = flush(state).await {
        tracing::debug!(%error, "cannot write the uses of API keys before reading them");
    }
}

/// Skips keys that were deleted in the meantime. Another instance may have written a later use already, which is kept.
fn write(tx: &mut Tx<'_>, batch: &[(ApiKeyId, PendingUsage)]) -> Result<(), Error> {
    let ids: Vec<ApiKeyId> = batch.iter().map(|(id, _)| *id).collect();
    // Locked in the order of their ids, so that two instances that write the same keys cannot deadlock.
    let existing: Vec<ApiKeyId> = api_keys::table
        .filter(api_keys::id.eq_any(ids))
        .select(api_keys::id)
        .order(api_keys::id)
        .for_no_key_update()
        .load(tx.conn)?;
    let existing_keys = || batch.iter().filter(|(id, _)| existing.binary_search(id).is_ok());
    write_last_uses(tx, existing_keys())?;
    write_counts(tx, existing_keys())
}

fn write_last_uses<'a>(tx: &mut Tx<'_>, keys: impl Iterator<Item = &'a (ApiKeyId, PendingUsage)>) -> Result<(), Error> {
    let mut ids: Vec<ApiKeyId> = Vec::new();
    let mut instants: Vec<DateTime<Utc>> = Vec::new();
    let mut addresses: Vec<Option<IpNet>> = Vec::new();
    for (id, usage) in keys {
        if let Some(last) = usage.last {
            ids.push(*id);
            instants.push(last.at);
            addresses.push(last.ip.map(IpNet::from));
        }
    }
    diesel::sql_query(
        "UPDATE api_keys SET last_used_at = used.at, last_used_ip = used.ip \
         FROM unnest($1, $2, $3) AS used (id, at, ip) \
         WHERE api_keys.id = used.id AND (api_keys.last_used_at IS NULL OR api_keys.last_used_at < used.at)",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<Timestamptz>, _>(instants)
    .bind::<Array<Nullable<Inet>>, _>(addresses)
    .execute(tx.conn)?;
    Ok(())
}

fn write_counts<'a>(tx: &mut Tx<'_>, keys: impl Iterator<Item = &'a (ApiKeyId, PendingUsage)>) -> Result<(), Error> {
    let mut ids: Vec<ApiKeyId> = Vec::new();
    let mut dates: Vec<NaiveDate> = Vec::new();
    let (mut requests, mut denied): (Vec<i64>, Vec<i64>) = (Vec::new(), Vec::new());
    for (id, usage) in keys {
        for (date, count) in &usage.days {
            ids.push(*id);
            dates.push(*date);
            requests.push(count.requests);
            denied.push(count.denied);
        }
    }
    diesel::sql_query(
        "INSERT INTO api_key_usage (api_key_id, date, requests, denied) SELECT * FROM unnest($1, $2, $3, $4) \
         ON CONFLICT (api_key_id, date) DO UPDATE \
         SET requests = api_key_usage.requests + excluded.requests, denied = api_key_usage.denied + excluded.denied",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<Date>, _>(dates)
    .bind::<Array<BigInt>, _>(requests)
    .bind::<Array<BigInt>, _>(denied)
    .execute(tx.conn)?;
    Ok(())
}

/// The uses of a key on one day, in UTC.
#[derive(Clone, Copy, Debug, Queryable)]
pub struct DailyUsage {
    pub date: NaiveDate,
    /// All uses, denied ones included.
    pub requests: i64,
    pub denied: i64,
}

/// The uses of a key on each of the last `days` days, today first. Days without uses are included.
pub fn by_day(tx: &mut Tx<'_>, id: ApiKeyId, days: i64) -> Result<Vec<DailyUsage>, Error> {
    let today = tx.now.date_naive();
    let rows: Vec<DailyUsage> = api_key_usage::table
        .filter(api_key_usage::api_key_id.eq(id))
        .filter(api_key_usage::date.gt(today - TimeDelta::days(days)))
        .select((api_key_usage::date, api_key_usage::requests, api_key_usage::denied))
        .load(tx.conn)?;
    let used: HashMap<NaiveDate, DailyUsage> = rows.into_iter().map(|day| (day.date, day)).collect();
    Ok((0..days)
        .map(|days_ago| {
            let date = today - TimeDelta::days(days_ago);
            used.get(&date).copied().unwrap_or(DailyUsage {
                date,
                requests: 0,
                denied: 0,
            })
        })
        .collect())
}

/// The counts of past days.
pub const SWEEP: Sweep = Sweep {
    table: "api_key_usage",
    ended: "date < ($1 AT TIME ZONE 'UTC')::date",
    order_by: "date",
    retention: |_| Some(USAGE_RETENTION),
    cutoff_setting: None,
};
