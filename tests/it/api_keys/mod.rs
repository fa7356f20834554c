//! API keys: making, seeing, changing, ending them, and what they may do.

mod create;
mod lifecycle;
mod list;
mod memory;
mod orgs;
mod reminders;
mod scopes;
pub mod support;
mod usage;
pub mod verify;
