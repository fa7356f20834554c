//! API keys: making, seeing, changing, ending them, and what they may do.

mod create;
mod lifecycle;
mod list;
mod orgs;
mod scopes;
pub mod support;
