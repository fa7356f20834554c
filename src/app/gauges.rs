//! The metrics that are read from the state whenever `/metrics` is requested.

use crate::state::State;

/// Sets the gauges of the database connections, the listener and the credential cache.
pub fn update(state: &State) {
    let connections = state.db.connection_counts();
    metrics::gauge!("keyward_db_connections", "state" => "in_use").set(connections.in_use);
    metrics::gauge!("keyward_db_connections", "state" => "idle").set(connections.idle);
    metrics::gauge!("keyward_db_abandoned_pools").set(capped(connections.abandoned_pools));
    let is_listening = state.db.invalidation_log().is_connected();
    metrics::gauge!("keyward_db_listener_connected").set(f64::from(u8::from(is_listening)));
    metrics::gauge!("keyward_credential_cache_entries").set(capped(state.credential_cache.entries()));
}

/// Larger numbers do not occur.
fn capped(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
