//! The service as a whole: the only place that knows every slice.
//!
//! A request passes, from the outside in: [`http::edge`](crate::http::edge) (request id, deadline, refusals), CORS,
//! [`authenticate`] (who is it), and then the route's handler.

mod authenticate;
mod capabilities;
mod docs;
mod link_pages;
mod material;
mod openapi;
mod routes;
mod serve;

pub use material::{Material, MaterialError};
pub use openapi::document;
pub use serve::{Running, start, state_of, stop};
