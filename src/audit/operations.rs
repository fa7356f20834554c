//! Reading the audit log.

use super::model::{AuditLogQuery, AuditRecordResponse, Scope};
use super::store;
use crate::error::Error;
use crate::state::State;
use crate::values::{Cursors, Page};

/// A page of a log, for somebody who may see it.
///
/// # Errors
/// `invalid_cursor`; when the database fails.
pub async fn list(state: &State, log: Scope, query: &AuditLogQuery) -> Result<Page<AuditRecordResponse>, Error> {
    let (filter, limit) = (query.filter(), query.page.limit);
    let cursors = Cursors::new(&state.secret, format!("audit log {log:?}: {filter:?}"));
    let after = cursors.read(query.page.cursor.as_deref())?;
    let rows = state
        .db
        .read(state.clock.now(), move |tx| {
            store::list(tx, log, &filter, after, limit + 1)
        })
        .await?;
    let page = cursors.page(rows, limit, |row| (row.at, row.id))?;
    Ok(page.map(|row| AuditRecordResponse::of(row, log)))
}
