//! All integration tests in one binary. They share one PostgreSQL; each test has a database of its own.
//!
//! The folders mirror `src/`. `contract/` checks what holds for the whole API and for the source code; `support/` has the helpers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod account;
mod admin;
mod api_keys;
mod audit;
mod audit_counts;
mod cli;
mod clock;
mod config;
mod contract;
mod database;
mod embedded;
mod gateway;
mod invitations;
mod join_requests;
mod listen;
mod load;
mod members;
mod notifications;
mod orgs;
mod process;
mod retention;
mod sessions;
mod support;
