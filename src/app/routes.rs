//! The one list of routes; the server and the OpenAPI document are both made from it.

use utoipa_actix_web::service_config::ServiceConfig;

use super::{capabilities, docs, health, pages};
use crate::account::{self, email, password, personal_data};
use crate::config::{Config, Feature};
use crate::orgs::{self, admission, invitations, join_requests, members};
use crate::{admin, api_keys, audit, gateway, http, images, notifications, sessions};

/// Whether a path is one of those that stay at the root, whatever the base path. They are open to everybody.
pub fn is_at_root(path: &str) -> bool {
    path.starts_with("/.well-known/") || matches!(path, "/livez" | "/readyz")
}

/// What stays at the root.
pub fn root(routes: &mut ServiceConfig) {
    health::root_router(routes);
    gateway::root_router(routes);
}

/// Everything else; what the deployment does not offer is not there.
pub fn api(routes: &mut ServiceConfig, config: &Config) {
    // Routes are tried in their order: first what is asked most often.
    if config.is_enabled(Feature::ApiKeys) {
        api_keys::verification_router(routes);
    }
    gateway::router(routes);
    account::router(routes, config);
    if config.is_enabled(Feature::ApiKeys) {
        api_keys::router(routes);
    }
    sessions::router(routes);
    personal_data::router(routes);
    password::router(routes, config);
    email::router(routes);
    notifications::router(routes);
    audit::router(routes);
    admin::router(routes);
    if config.is_enabled(Feature::Organisations) {
        // Before what takes any word for an id.
        join_requests::router(routes);
        invitations::router(routes);
        admission::router(routes);
        members::router(routes);
        orgs::router(routes);
    }
    if config.is_enabled(Feature::Avatars) {
        images::router(routes);
    }
    routes.service(capabilities::get_capabilities);
    docs::router(routes);
    pages::router(routes, config);
    http::router(routes);
}
