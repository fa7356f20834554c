//! Endpoints for gateways and resource servers: check a credential (`GET /auth/forward`, `POST /auth/introspect`),
//! fetch the public keys of access tokens (JWKS), and discover the service (RFC 9728).

mod forward;
mod introspect;
mod well_known;

pub use forward::FORWARD_PATH;
pub use well_known::root_router;

use utoipa_actix_web::service_config::ServiceConfig;

/// The routes below the base path; [`root_router`] has those at the root.
pub fn router(routes: &mut ServiceConfig) {
    forward::router(routes);
    introspect::router(routes);
}
