//! API keys: their endpoints, their verification, and the credential cache.

mod create;
mod credential_cache;
mod lifecycle;
mod list;
mod orgs;
mod reminders;
mod scopes;
mod usage;
mod verify;
