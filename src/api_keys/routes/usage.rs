//! `GET /api-keys/{id}/usage`.

use actix_web::{get, web};
use chrono::NaiveDate;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::api_keys::list::Tenant;
use crate::api_keys::operations;
use crate::api_keys::usage;
use crate::auth::{Caller, KeysRead};
use crate::error::Error;
use crate::http::{ApiResponse, Path, RequestInput};
use crate::request_type;
use crate::state::State;
use crate::values::BoundedInt;
use crate::values::ids::ApiKeyId;

/// Days shown when the client does not say.
const DEFAULT_DAYS: i64 = 30;

pub fn router(routes: &mut ServiceConfig) {
    routes.service(get_api_key_usage);
}

request_type! {
    /// How far to look back.
    #[derive(utoipa::IntoParams)]
    #[into_params(parameter_in = Query)]
    pub struct ApiKeyUsageQuery {
        /// How many days, today included.
        #[param(required = false, nullable = false, value_type = i64, minimum = 1, maximum = 90, default = 30)]
        pub days: Option<BoundedInt<1, 90>>,
    }
}

/// The uses of a key on one day.
#[derive(Serialize, ToSchema)]
pub struct ApiKeyUsageDayResponse {
    /// The day, in UTC.
    #[schema(value_type = String, format = Date)]
    pub date: NaiveDate,
    /// How often the key was shown.
    pub requests: i64,
    /// How often of these it was refused: for its scopes, the address, or how it stood.
    pub denied: i64,
}

/// The uses of a key, day by day.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeyUsage)]
pub struct ApiKeyUsageResponse {
    /// Every day asked for, today first.
    pub data: Vec<ApiKeyUsageDayResponse>,
}

/// See how often an API key was used
///
/// Day by day, in UTC. Uses are counted some seconds after they were made.
#[utoipa::path(
    operation_id = "getApiKeyUsage", tag = "API keys", security(("session" = []), ("api_key" = ["keys:read"])),
    params(("api_key_id" = ApiKeyId, Path, description = "The key"), ApiKeyUsageQuery),
    responses((status = 200, description = "The uses", body = ApiKeyUsageResponse)),
)]
#[get("/api-keys/{api_key_id}/usage")]
async fn get_api_key_usage(
    caller: Caller<KeysRead>,
    Path(id): Path<ApiKeyId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let (now, tenant) = (caller.now(), Tenant::of(&caller));
    state
        .db
        .read(now, move |tx| operations::find_of(tx, tenant, id).map(|_| ()))
        .await?;
    let query: ApiKeyUsageQuery = input.query()?;
    let days = query.days.map_or(DEFAULT_DAYS, BoundedInt::get);
    usage::flush_to_read(&state).await;
    let days = state.db.read(now, move |tx| usage::of_days(tx, id, days)).await?;
    let day = |(date, requests, denied)| ApiKeyUsageDayResponse { date, requests, denied };
    ApiResponse::ok(&ApiKeyUsageResponse {
        data: days.into_iter().map(day).collect(),
    })
}
