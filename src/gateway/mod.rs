//! What gateways and resource servers ask: the public keys, where to learn about the service, and whether a credential is
//! good.

mod forward;
mod introspect;
mod routes;

pub use forward::FORWARD;
pub use routes::root_router;

use utoipa_actix_web::service_config::ServiceConfig;

/// The routes of this module that move with the base path.
pub fn router(routes: &mut ServiceConfig) {
    forward::router(routes);
    introspect::router(routes);
}
