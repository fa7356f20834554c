//! The one list of routes; the server and the OpenAPI document are both made from it.

use utoipa_actix_web::service_config::ServiceConfig;

use super::docs;
use crate::config::Config;
use crate::{accounts, admin, audit, email, gateway, health, http, notifications, password, sessions};

/// What stays at the root, whatever the base path.
pub fn root(routes: &mut ServiceConfig) {
    health::root_router(routes);
    gateway::root_router(routes);
}

/// Everything else; what the deployment does not offer is not there.
pub fn api(routes: &mut ServiceConfig, config: &Config) {
    sessions::router(routes);
    accounts::router(routes);
    password::router(routes, config);
    email::router(routes);
    notifications::router(routes);
    audit::router(routes);
    admin::router(routes);
    docs::router(routes);
    http::router(routes);
}
