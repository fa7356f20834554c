//! `org`: the endpoints for an organisation's admins. `requester`: those for the user who wants to join.

mod org;
mod requester;

use utoipa_actix_web::service_config::ServiceConfig;

pub use org::OrgJoinRequest;

/// `GET /orgs/lookup` is registered before `GET /orgs/{org_id}`, which matches the same path.
pub fn router(routes: &mut ServiceConfig) {
    requester::router(routes);
    org::router(routes);
}
