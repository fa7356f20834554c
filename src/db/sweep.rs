//! Deleting rows whose retention has ended, in small batches that block no request.
//!
//! A slice declares for its tables which rows have ended ([`Sweep`]); `app/retention.rs` has the list of all tables and runs
//! the sweeps. A batch finds its rows by an index, skips those that a request has locked, and commits alone. An advisory lock
//! per table keeps other instances from reading the same rows.

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text, Timestamptz};

use super::Tx;
use crate::config::Config;
use crate::error::Error;

/// The maximum number of rows that one statement deletes: a few milliseconds of work.
pub const BATCH: usize = 500;

/// Rows of a table that are deleted some time after they have ended.
#[derive(Clone, Copy)]
pub struct Sweep {
    pub table: &'static str,
    /// Holds for the rows that ended before `$1`.
    pub ended: &'static str,
    /// The columns of the index by which these rows are found.
    pub order_by: &'static str,
    /// How long rows are kept after they ended; `None` for ever.
    pub retention: fn(&Config) -> Option<TimeDelta>,
    /// A setting that the triggers of the table read: it holds `$1` during the transaction.
    pub cutoff_setting: Option<&'static str>,
}

diesel::define_sql_function! { fn pg_try_advisory_xact_lock(key: BigInt) -> Bool; }
diesel::define_sql_function! { fn hashtextextended(text: Text, seed: BigInt) -> BigInt; }
diesel::define_sql_function! { fn set_config(name: Text, value: Text, is_local: Bool) -> Text; }

impl Sweep {
    /// Deletes at most [`BATCH`] rows that have ended, and returns their number: fewer if no more are left, or if another
    /// instance is deleting from the table.
    pub fn delete_batch(&self, tx: &mut Tx<'_>, retention: TimeDelta) -> Result<usize, Error> {
        let lock = pg_try_advisory_xact_lock(hashtextextended(format!("sweep {}", self.table), 0_i64));
        if !diesel::select(lock).get_result::<bool>(tx.conn)? {
            return Ok(0);
        }
        // A retention of a hundred years ends before the calendar does.
        let ended_before = tx.now.checked_sub_signed(retention).unwrap_or_default();
        if let Some(setting) = self.cutoff_setting {
            diesel::select(set_config(setting, ended_before.to_rfc3339(), true)).execute(tx.conn)?;
        }
        let deleted = diesel::sql_query(self.statement())
            .bind::<Timestamptz, _>(ended_before)
            .execute(tx.conn)?;
        Ok(deleted)
    }

    /// An array instead of `IN`: with that, PostgreSQL may join the whole table.
    pub fn statement(&self) -> String {
        let Self {
            table, ended, order_by, ..
        } = self;
        format!(
            "DELETE FROM {table} WHERE ctid = ANY (ARRAY (SELECT ctid FROM {table} WHERE {ended} ORDER BY {order_by} \
             LIMIT {BATCH} FOR UPDATE SKIP LOCKED))"
        )
    }
}

/// The retention of a setting in days; 0 keeps rows for ever.
pub fn days(setting: u32) -> Option<TimeDelta> {
    (setting > 0).then(|| TimeDelta::days(setting.into()))
}
