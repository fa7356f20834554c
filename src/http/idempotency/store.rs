//! Queries on `idempotency_keys`.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Timestamptz, Uuid};
use serde_json::Value;

use crate::db::Tx;
use crate::db::schema::idempotency_keys;
use crate::db::sweep::Sweep;
use crate::error::Error;
use crate::values::ids::UserId;

/// How long a response is repeated.
pub(super) const RESPONSE_RETENTION: TimeDelta = TimeDelta::hours(24);

#[derive(Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = idempotency_keys, check_for_backend(diesel::pg::Pg), treat_none_as_null = true)]
pub(super) struct StoredResponse {
    pub request_mac: Vec<u8>,
    pub status: i16,
    pub headers: Value,
    pub body: Option<Value>,
    /// Other requests that were sent with the same key.
    pub mismatches: i16,
}

/// Locks the row until the end of the transaction, so that parallel requests count mismatches one by one.
pub(super) fn find(
    tx: &mut Tx<'_>,
    user_id: UserId,
    key: &str,
    created_after: DateTime<Utc>,
) -> Result<Option<StoredResponse>, Error> {
    Ok(idempotency_keys::table
        .find((user_id, key))
        .filter(idempotency_keys::created_at.gt(created_after))
        .select(StoredResponse::as_select())
        .for_update()
        .first(tx.conn)
        .optional()?)
}

pub(super) fn set_mismatches(tx: &mut Tx<'_>, user_id: UserId, key: &str, mismatches: i16) -> Result<(), Error> {
    diesel::update(idempotency_keys::table.find((user_id, key)))
        .set(idempotency_keys::mismatches.eq(mismatches))
        .execute(tx.conn)?;
    Ok(())
}

/// Overwrites a row that has expired but is not deleted yet.
pub(super) fn upsert(tx: &mut Tx<'_>, user_id: UserId, key: &str, response: &StoredResponse) -> Result<(), Error> {
    let created_at = idempotency_keys::created_at.eq(tx.now);
    diesel::insert_into(idempotency_keys::table)
        .values((
            idempotency_keys::user_id.eq(user_id),
            idempotency_keys::key.eq(key),
            created_at,
            response.clone(),
        ))
        .on_conflict((idempotency_keys::user_id, idempotency_keys::key))
        .do_update()
        .set((created_at, response))
        .execute(tx.conn)?;
    Ok(())
}

/// What is stored for a user.
#[derive(QueryableByName)]
pub(super) struct Total {
    #[diesel(sql_type = BigInt)]
    pub responses: i64,
    #[diesel(sql_type = BigInt)]
    pub bytes: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub oldest: Option<DateTime<Utc>>,
}

pub(super) fn total(tx: &mut Tx<'_>, user_id: UserId, created_after: DateTime<Utc>) -> Result<Total, Error> {
    // pg_column_size is the stored size: long bodies are not read.
    const TOTAL: &str = "SELECT count(*) AS responses, \
        coalesce(sum(pg_column_size(headers) + coalesce(pg_column_size(body), 0)), 0)::bigint AS bytes, \
        min(created_at) AS oldest FROM idempotency_keys WHERE user_id = $1 AND created_at > $2";
    Ok(diesel::sql_query(TOTAL)
        .bind::<Uuid, _>(user_id)
        .bind::<Timestamptz, _>(created_after)
        .get_result(tx.conn)?)
}

diesel::define_sql_function! {
    /// Takes the lock until the end of the transaction and returns true, or returns false if another transaction holds it.
    fn pg_try_advisory_xact_lock(key: diesel::sql_types::BigInt) -> diesel::sql_types::Bool;
}

pub(super) fn try_lock(tx: &mut Tx<'_>, key: i64) -> Result<bool, Error> {
    Ok(diesel::select(pg_try_advisory_xact_lock(key)).get_result(tx.conn)?)
}

/// Responses that are not repeated any more.
pub const SWEEP: Sweep = Sweep {
    table: "idempotency_keys",
    ended: "created_at <= $1",
    order_by: "created_at",
    retention: |_| Some(RESPONSE_RETENTION),
    cutoff_setting: None,
};
