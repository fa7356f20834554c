//! All integration tests, in one binary: they share one PostgreSQL, and each has a database of its own.
//!
//! The folders mirror `src/`; `contract/` checks what holds for all of the API, `support/` is what tests are written with.
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
mod cli;
mod contract;
mod embedded;
mod gateway;
mod invitations;
mod join_requests;
mod listen;
mod members;
mod notifications;
mod orgs;
mod sessions;
mod support;
