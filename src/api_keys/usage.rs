//! Writing down which keys were used, in batches, apart from every request.

use crate::db::Tx;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date, Inet, Nullable, Timestamptz, Uuid as SqlUuid};
use ipnet::IpNet;
use std::sync::Arc;

use crate::auth::PendingUsage;
use crate::db::schema::{api_key_usage, api_keys};
use crate::error::Error;
use crate::state::State;
use crate::values::ids::ApiKeyId;

/// How many keys are written down in one transaction.
const BATCH: usize = 1000;
/// For how many days counts are kept.
const MEMORY_DAYS: i64 = 90;

/// Writes down all that was gathered. What cannot be written is kept for the next time.
///
/// # Errors
/// When the database fails.
pub async fn flush(state: &State) -> Result<(), Error> {
    let _turn = state.key_usage.flush_lock.lock().await;
    let mut batches: Vec<Arc<Vec<(ApiKeyId, PendingUsage)>>> = Vec::new();
    let mut gathered = state.key_usage.take().into_iter().peekable();
    while gathered.peek().is_some() {
        batches.push(Arc::new(gathered.by_ref().take(BATCH).collect()));
    }
    let mut outcome = Ok(());
    for batch in batches {
        if outcome.is_ok() {
            let written = Arc::clone(&batch);
            outcome = state
                .db
                .transaction(state.clock.now(), move |tx| write(tx, &written))
                .await;
        }
        if outcome.is_err() {
            state.key_usage.restore(batch.iter().cloned());
        }
    }
    outcome
}

/// Writes it down for somebody who is about to read. Where that cannot be done, what was written before has to do.
pub async fn flush_to_read(state: &State) {
    if let Err(error) = flush(state).await {
        tracing::debug!(%error, "cannot write down the uses of keys");
    }
}

/// Keys that are gone meanwhile are left out; an older use does not replace a newer one.
fn write(tx: &mut Tx<'_>, batch: &[(ApiKeyId, PendingUsage)]) -> Result<(), Error> {
    let ids: Vec<ApiKeyId> = batch.iter().map(|(id, _)| *id).collect();
    // In the order of their ids, so that two who write down the same keys do not wait for each other.
    let there: Vec<ApiKeyId> = api_keys::table
        .filter(api_keys::id.eq_any(ids))
        .select(api_keys::id)
        .order(api_keys::id)
        .for_no_key_update()
        .load(tx.conn)?;
    let batch = || batch.iter().filter(|(id, _)| there.binary_search(id).is_ok());
    let used: Vec<(ApiKeyId, DateTime<Utc>, Option<IpNet>)> = batch()
        .filter_map(|(id, uses)| uses.last.map(|last| (*id, last.at, last.ip.map(IpNet::from))))
        .collect();
    diesel::sql_query(
        "UPDATE api_keys SET last_used_at = used.at, last_used_ip = used.ip \
         FROM unnest($1, $2, $3) AS used (id, at, ip) \
         WHERE api_keys.id = used.id AND (api_keys.last_used_at IS NULL OR api_keys.last_used_at < used.at)",
    )
    .bind::<Array<SqlUuid>, _>(used.iter().map(|(id, _, _)| *id).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(used.iter().map(|(_, at, _)| *at).collect::<Vec<_>>())
    .bind::<Array<Nullable<Inet>>, _>(used.iter().map(|(_, _, ip)| *ip).collect::<Vec<_>>())
    .execute(tx.conn)?;
    let counted: Vec<(ApiKeyId, NaiveDate, i64, i64)> = batch()
        .flat_map(|(id, uses)| {
            let row = |(date, count): &(NaiveDate, crate::auth::DayCount)| (*id, *date, count.requests, count.denied);
            uses.days.iter().map(row)
        })
        .collect();
    diesel::sql_query(
        "INSERT INTO api_key_usage (api_key_id, date, requests, denied) SELECT * FROM unnest($1, $2, $3, $4) \
         ON CONFLICT (api_key_id, date) DO UPDATE \
         SET requests = api_key_usage.requests + excluded.requests, denied = api_key_usage.denied + excluded.denied",
    )
    .bind::<Array<SqlUuid>, _>(counted.iter().map(|row| row.0).collect::<Vec<_>>())
    .bind::<Array<Date>, _>(counted.iter().map(|row| row.1).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(counted.iter().map(|row| row.2).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(counted.iter().map(|row| row.3).collect::<Vec<_>>())
    .execute(tx.conn)?;
    Ok(())
}

/// How often a key was used on each of the last `days` days, and how often of these in vain; newest first.
pub fn of_days(tx: &mut Tx<'_>, id: ApiKeyId, days: i64) -> Result<Vec<(NaiveDate, i64, i64)>, Error> {
    let today = tx.now.date_naive();
    let known: Vec<(NaiveDate, i64, i64)> = api_key_usage::table
        .filter(api_key_usage::api_key_id.eq(id))
        .filter(api_key_usage::date.gt(today - TimeDelta::days(days)))
        .select((api_key_usage::date, api_key_usage::requests, api_key_usage::denied))
        .load(tx.conn)?;
    Ok((0..days)
        .map(|back| {
            let date = today - TimeDelta::days(back);
            known
                .iter()
                .find(|(day, _, _)| *day == date)
                .copied()
                .unwrap_or((date, 0, 0))
        })
        .collect())
}

/// Forgets counts that are shown no more.
///
/// # Errors
/// When the database fails.
pub fn sweep(tx: &mut Tx<'_>) -> Result<usize, Error> {
    let oldest = tx.now.date_naive() - TimeDelta::days(MEMORY_DAYS);
    Ok(diesel::delete(api_key_usage::table.filter(api_key_usage::date.lt(oldest))).execute(tx.conn)?)
}
