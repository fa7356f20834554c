//! The endpoints of API keys.

mod keys;
mod lifecycle;
mod list;
mod org_keys;
mod usage;
mod verify;

pub use keys::router;
pub use verify::router as verification_router;
