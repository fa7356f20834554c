//! Keyward, a self-hosted account service: people, organisations, and the API keys with which machines act for people.
//!
//! The house, from the street to the cellar; what stands higher may use what stands lower, never the other way round.
//!
//! | room | what is in it |
//! |---|---|
//! | [`app`], [`worker`] | the only places that know every slice: the list of routes, the middleware; the background loop |
//! | [`gateway`], [`health`] | what gateways ask; probes |
//! | [`admin`] | administration of the platform |
//! | [`password`], [`email`] | change, reset; change, confirm, revert |
//! | [`sessions`] | log in, refresh, log out |
//! | [`accounts`] | sign up, `/me` |
//! | [`one_time_tokens`], [`notifications`], [`audit`] | mailed links; the notification centre; the audit log |
//! | [`memberships`] | who is where as what |
//! | [`state`] | what every handler may use |
//! | [`auth`], [`mail`] | identities, permissions, passwords, access tokens; messages, outbox, transports |
//! | [`http`] | problem+json, extractors, paging, idempotency |
//! | [`db`] | pool, transactions, migrations, the private PostgreSQL |
//! | [`error`], [`ids`], [`locale`], [`clock`], [`secret`], [`config`] | the foundations |
//!
//! Inside a slice the same few files: `routes` (request and response types, handlers) → `operations` (a function per use
//! case, in one transaction) → `store` (every query on the slice's tables) → `model` (domain types and pure rules).
//!
//! The way of a request is told in [`app`]; the life of a mail in [`mail`]; the life of a session in [`sessions`].
#![forbid(unsafe_code)]

pub mod accounts;
pub mod admin;
pub mod app;
pub mod audit;
pub mod auth;
pub mod clock;
pub mod config;
pub mod db;
pub mod email;
pub mod error;
pub mod gateway;
pub mod health;
pub mod http;
pub mod ids;
pub mod locale;
pub mod mail;
pub mod memberships;
pub mod notifications;
pub mod one_time_tokens;
pub mod password;
pub mod secret;
pub mod sessions;
pub mod state;
pub mod telemetry;
pub mod worker;
