//! Assembles the service from its slices: state, middleware, routes, OpenAPI document, background work.
//!
//! A request passes [`http::with_request_context`](crate::http::with_request_context) (request id, timeout, problem bodies), CORS,
//! `authenticate.rs` (credential → [`Principal`](crate::auth::Principal)) and then the handler of its route.

mod authenticate;
mod capabilities;
mod docs;
mod gauges;
mod health;
mod keystore;
mod listener;
mod openapi;
mod pages;
mod recheck;
pub mod retention;
mod routes;
mod server;
pub mod worker;

pub use gauges::update as update_gauges;
pub use keystore::{Keystore, KeystoreError};
pub use openapi::document;
pub use server::{RunningServer, build_state, start, stop};
