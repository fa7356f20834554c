use utoipa_actix_web::service_config::ServiceConfig;
/// The routes.
pub fn router(_routes: &mut ServiceConfig) {}
