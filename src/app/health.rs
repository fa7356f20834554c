//! Probes for orchestrators and load balancers.

use actix_web::{get, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::db::migrations;
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::state::State;

/// The probes are not below the base path.
pub fn root_router(routes: &mut ServiceConfig) {
    routes.service(get_livez).service(get_readyz);
}

/// State of the service.
#[derive(Serialize, ToSchema)]
pub struct HealthResponse {
    /// Always `ok`; a service that is not ready returns a problem.
    #[schema(example = "ok")]
    pub status: &'static str,
}

/// Check liveness
///
/// Returns 200 as long as the process handles requests; uses neither the database nor anything else. Needs no credential.
#[utoipa::path(
    operation_id = "getLivez", tag = "Operations",
    responses((status = 200, description = "The process is alive", body = HealthResponse)),
)]
#[get("/livez")]
async fn get_livez(input: RequestInput) -> Result<ApiResponse, Error> {
    input.none().await?;
    ApiResponse::ok(&HealthResponse { status: "ok" })
}

/// Check readiness
///
/// Returns 200 if the database is reachable, every migration is applied and the service is not shutting down; otherwise 503.
/// Needs no credential.
#[utoipa::path(
    operation_id = "getReadyz", tag = "Operations",
    responses((status = 200, description = "The service is ready", body = HealthResponse)),
)]
#[get("/readyz")]
async fn get_readyz(input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    input.none().await?;
    if state.is_draining() {
        return Err(Error::unavailable("the service is shutting down"));
    }
    if !state
        .db
        .read(state.clock.now(), |tx| migrations::are_applied(tx.conn))
        .await?
    {
        return Err(Error::unavailable("migrations are pending"));
    }
    ApiResponse::ok(&HealthResponse { status: "ok" })
}
