//! Keyward, a self-hosted account service: people, organisations, and the API keys with which machines act for people.
//!
//! The house, from the street to the cellar; what stands higher may use what stands lower, never the other way round.
//!
//! | room | what is in it |
//! |---|---|
//! | [`app`], [`worker`] | the only places that know every slice: the list of routes, the middleware; the background loop |
//! | [`personal_data`] | export and deletion of everything held about a person |
//! | [`operator`] | what an operator does to accounts on the command line |
//! | [`gateway`], [`health`] | what gateways ask; probes |
//! | [`admin`] | administration of the platform |
//! | [`invitations`], [`join_requests`] | the two doors into an organisation |
//! | [`members`], [`orgs`] | who is there as what; organisations, and who may do what in one |
//! | [`password`], [`email`] | change, reset; change, confirm, revert |
//! | [`api_keys`] | keys with which machines act for people |
//! | [`sessions`] | log in, refresh, log out |
//! | [`accounts`] | sign up, `/me` |
//! | [`memberships`] | who is where as what |
//! | [`images`] | avatars and logos |
//! | [`one_time_tokens`], [`notifications`], [`audit`] | mailed links; the notification centre; the audit log |
//! | [`state`] | what every handler may use |
//! | [`auth`], [`mail`], [`picture`] | identities, permissions, passwords, access tokens; messages, outbox, transports; scaling |
//! | [`http`] | problem+json, extractors, paging, idempotency |
//! | [`db`] | pool, transactions, migrations |
//! | [`crew`], [`log`], [`telemetry`] | threads for work that blocks; log lines; metrics |
//! | [`error`], [`ids`], [`locale`], [`clock`], [`secret`], [`config`] | the foundations |
//!
//! Inside a slice the same few files: `routes` (request and response types, handlers) → `operations` (a function per use
//! case, in one transaction) → `store` (every query on the slice's tables) → `model` (domain types and pure rules).
//!
//! The way of a request is told in [`app`]; the life of a mail in [`mail`]; the life of a session in [`sessions`].
#![forbid(unsafe_code)]

/// A request makes and drops many small things, on threads that come and go in turn: this allocator is fast at it, and gives
/// back what it does not need (`.cargo/config.toml` says how soon).
#[cfg(not(target_env = "musl"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

pub mod account;
pub mod admin;
pub mod api_keys;
pub mod app;
pub mod audit;
pub mod auth;
pub mod blocking_pool;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credential_cache;
pub mod db;
pub mod error;
pub mod gateway;
pub mod http;
pub mod images;
pub mod notifications;
pub mod observability;
pub mod one_time_tokens;
pub mod orgs;
pub mod secret;
pub mod sessions;
pub mod state;
pub mod users;
pub mod values;
