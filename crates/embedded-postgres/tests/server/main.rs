//! Each test of the server has its own data folder and its own server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a panic fails the test, which is what these are for"
)]

mod cluster;
mod lifecycle;
mod modules;
mod privacy;
mod recovery;
mod root;
mod sharing;
mod socket;
mod support;
