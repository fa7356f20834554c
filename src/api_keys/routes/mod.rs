//! The endpoints of API keys.

mod create;
mod current;
mod delete;
mod list;
mod org_keys;
mod response;
mod rotate;
mod scopes;
mod update;
mod usage;
mod verify;

use utoipa_actix_web::service_config::ServiceConfig;

pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(list::list_api_keys)
        .service(scopes::list_scopes)
        // Before `/api-keys/{api_key_id}`, which would take `current` for an id.
        .service(current::get_current_api_key)
        .service(current::delete_current_api_key)
        .service(list::get_api_key)
        .service(update::update_api_key)
        .service(delete::delete_api_key)
        .service(delete::delete_api_keys)
        .service(create::create_api_key)
        .service(update::extend_api_key)
        .service(rotate::rotate_api_key)
        .service(org_keys::list_org_api_keys)
        .service(org_keys::delete_org_api_key)
        .service(org_keys::list_member_api_keys)
        .service(usage::get_api_key_usage);
}

/// `POST /api-keys/verify`, the endpoint with the most requests. Routes are tried in order, so it is registered first.
pub fn verification_router(routes: &mut ServiceConfig) {
    routes.service(verify::verify_api_key);
}
