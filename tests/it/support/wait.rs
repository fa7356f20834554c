//! Waiting for an effect, never longer than a limit.

use std::time::{Duration, Instant};

/// Waits for the effect of a change that was made directly in the database: it invalidates the cache within a second.
pub async fn eventually(condition: impl AsyncFnMut() -> bool) {
    wait_until(Duration::from_millis(1500), condition).await;
}

pub async fn wait_until(limit: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < limit, "not within {limit:?}");
        tokio::task::yield_now().await;
    }
}
