//! Requests to join: somebody asks an organisation to let them in.
//!
//! Only organisations that say so take requests; of the others nobody outside learns that they exist. A request is pending
//! until it is approved, rejected or withdrawn, each a single UPDATE, which decides between those who act at the same time.
//! Everybody who runs the organisation is told, and told no more once one of them has decided.
//!
//! What must never happen: that a request opens an organisation that takes none; that who approves gives a role that is not
//! theirs to give.

mod model;
mod operations;
mod requester_routes;
mod routes;
mod store;

pub use model::{JoinRequestResponse, JoinRequestState, RejectionReason, RequestMessage};

use utoipa_actix_web::service_config::ServiceConfig;

/// The routes of this slice.
pub fn router(routes: &mut ServiceConfig) {
    requester_routes::router(routes);
    routes::router(routes);
}
