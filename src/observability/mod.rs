//! Log lines and metrics.

pub mod http_metrics;
pub mod log;
pub mod metrics;
pub mod refusals;
