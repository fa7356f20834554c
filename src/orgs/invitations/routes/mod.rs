//! `org`: the endpoints for an organisation's admins. `invited`: those for the invited person.

mod invited;
mod org;

use utoipa_actix_web::service_config::ServiceConfig;

pub use invited::OwnInvitation;

pub fn router(routes: &mut ServiceConfig) {
    org::router(routes);
    invited::router(routes);
}
