//! Probes: is the process alive, and may traffic be sent to it.

use actix_web::{get, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::db::migrations;
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::state::State;

/// The routes that stay at the root, whatever the base path.
pub fn root_router(routes: &mut ServiceConfig) {
    routes.service(get_livez).service(get_readyz);
}

/// How the service is.
#[derive(Serialize, ToSchema)]
pub struct HealthResponse {
    /// `ok`.
    #[schema(example = "ok")]
    pub status: &'static str,
}

/// Is the process alive
///
/// Touches nothing.
#[utoipa::path(
    operation_id = "getLivez", tag = "Operations",
    responses((status = 200, description = "It is", body = HealthResponse)),
)]
#[get("/livez")]
async fn get_livez(input: RequestInput) -> Result<ApiResponse, Error> {
    input.none().await?;
    ApiResponse::ok(&HealthResponse { status: "ok" })
}

/// May traffic be sent here
///
/// The database answers, every migration is applied, and the service is not about to stop.
#[utoipa::path(
    operation_id = "getReadyz", tag = "Operations",
    responses((status = 200, description = "It may", body = HealthResponse)),
)]
#[get("/readyz")]
async fn get_readyz(input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    input.none().await?;
    if state.is_draining() {
        return Err(Error::unavailable("draining"));
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
