//! The list of all routes. The server, the OpenAPI document and the route table are made from it.

use utoipa_actix_web::service_config::ServiceConfig;

use super::{capabilities, docs, health, pages};
use crate::account::{email, password, personal_data, profile, registration};
use crate::config::{Config, Feature};
use crate::orgs::{self, admission, invitations, join_requests, members};
use crate::{admin, api_keys, audit, gateway, http, images, notifications, sessions};

/// Whether a path is outside of the base path. All of these need no credential.
pub fn is_at_root(path: &str) -> bool {
    path.starts_with("/.well-known/") || matches!(path, "/livez" | "/readyz")
}

/// The routes outside of the base path.
pub fn root(routes: &mut ServiceConfig) {
    health::root_router(routes);
    gateway::root_router(routes);
}

/// The routes below the base path, without those of features that are switched off.
pub fn api(routes: &mut ServiceConfig, config: &Config) {
    // actix tries routes in this order: the most frequent requests come first.
    if config.is_enabled(Feature::ApiKeys) {
        api_keys::verification_router(routes);
    }
    gateway::router(routes);
    profile::router(routes, config);
    registration::router(routes);
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
        // Before `orgs`, because `/orgs/{org_id}` also matches literal paths of these modules.
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
