//! The service as a whole: the only place that knows every slice.
//!
//! A request passes, from the outside in: [`http::with_request_context`](crate::http::with_request_context) (request id, deadline, refusals), CORS,
//! [`authenticate`] (who is it), and then the route's handler.

mod authenticate;
mod capabilities;
mod docs;
mod health;
mod keystore;
mod openapi;
mod pages;
mod routes;
mod server;
pub mod worker;

pub use keystore::{Keystore, KeystoreError};
pub use openapi::document;
pub use server::{Running, build_state, start, stop};
