//! Probes for orchestrators and load balancers.

use actix_web::{get, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::db::migrations::{NEWER_SCHEMA, Schema};
use crate::error::{Code, Error};
use crate::http::{ApiResponse, RequestInput};
use crate::state::State;

/// The probes are not below the base path.
pub fn root_router(routes: &mut ServiceConfig) {
    routes.service(get_livez).service(get_readyz);
}

/// State of the process.
#[derive(Serialize, ToSchema)]
pub struct LivenessResponse {
    /// Always `ok`.
    #[schema(example = "ok")]
    pub status: &'static str,
}

/// State of the service.
#[derive(Serialize, ToSchema)]
pub struct ReadinessResponse {
    /// `ok`, or `degraded` if something is listed in `degraded`; a service that is not ready returns a problem.
    #[schema(example = "ok")]
    pub status: &'static str,
    /// `read_only_database`: nothing can be changed, but credentials are verified. `newer_schema`: a newer version of Keyward
    /// has migrated the database while this instance was running.
    #[schema(example = json!([]))]
    pub degraded: Vec<&'static str>,
}

/// Check liveness
///
/// Returns 200 as long as the process handles requests; uses neither the database nor anything else. Needs no credential.
#[utoipa::path(
    operation_id = "getLivez", tag = "Operations",
    responses((status = 200, description = "The process is alive", body = LivenessResponse)),
)]
#[get("/livez")]
async fn get_livez(input: RequestInput) -> Result<ApiResponse, Error> {
    input.none().await?;
    ApiResponse::ok(&LivenessResponse { status: "ok" })
}

/// Check readiness
///
/// Returns 200 if the database is reachable, every migration is applied and the service is not shutting down; otherwise 503.
/// With a read-only database it is ready, because it verifies credentials; `degraded` then says so. An instance that is older
/// than the schema which it found at its start is not ready. Needs no credential.
#[utoipa::path(
    operation_id = "getReadyz", tag = "Operations",
    responses((status = 200, description = "The service is ready", body = ReadinessResponse)),
)]
#[get("/readyz")]
async fn get_readyz(input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    input.none().await?;
    if state.is_draining() {
        return Err(Error::unavailable("the service is shutting down"));
    }
    let now = state.clock.now();
    let mut degraded = Vec::new();
    match state.db.schema(now).await? {
        Schema::Current => {}
        Schema::Pending => return Err(not_ready("Migrations of the database are pending.")),
        Schema::Newer if state.db.schema_has_matched() => degraded.push("newer_schema"),
        Schema::Newer => return Err(not_ready(NEWER_SCHEMA)),
    }
    if state.db.is_read_only(now).await? {
        degraded.push("read_only_database");
    }
    let status = if degraded.is_empty() { "ok" } else { "degraded" };
    ApiResponse::ok(&ReadinessResponse { status, degraded })
}

fn not_ready(detail: &'static str) -> Error {
    Error::with_detail(Code::Unavailable, detail).retry_after(1)
}
