//! Writing and reading the audit log.

use super::entry::Entry;
use super::model::{AuditLogQuery, AuditRecordResponse, Scope};
use super::store;
use crate::db::Tx;
use crate::error::Error;
use crate::state::State;
use crate::values::{Cursors, Page, PageQuery};

/// Writes a record in the transaction of the action.
pub fn record(tx: &mut Tx<'_>, entry: Entry) -> Result<(), Error> {
    store::insert(tx, entry)
}

/// A page of the records in `scope`, newest first. Whether the caller may read them is not checked here.
///
/// # Errors
/// `invalid_cursor`.
pub async fn list(
    state: &State,
    scope: Scope,
    query: &AuditLogQuery,
    PageQuery { limit, cursor }: PageQuery,
) -> Result<Page<AuditRecordResponse>, Error> {
    let filter = query.filter();
    let cursors = Cursors::new(&state.secret, format!("audit log {scope:?}: {filter:?}"));
    let after = cursors.read(cursor.as_deref())?;
    let rows = state
        .db
        .read(state.clock.now(), move |tx| {
            store::list(tx, scope, &filter, after, limit + 1)
        })
        .await?;
    let page = cursors.page(rows, limit, |row| (row.at, row.id))?;
    Ok(page.map(|row| AuditRecordResponse::new(row, scope)))
}
