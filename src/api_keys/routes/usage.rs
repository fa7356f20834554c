//! `GET /api-keys/{id}/usage`.

use actix_web::{get, web};
use chrono::NaiveDate;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api_keys::filter::TenantScope;
use crate::api_keys::usage::DailyUsage;
use crate::api_keys::{operations, usage};
use crate::auth::{Caller, KeysRead};
use crate::error::Error;
use crate::http::{ApiResponse, Path, RequestInput};
use crate::request_type;
use crate::state::State;
use crate::values::BoundedInt;
use crate::values::ids::ApiKeyId;

const DEFAULT_DAYS: i64 = 30;

request_type! {
    /// Period of the report.
    #[derive(utoipa::IntoParams)]
    #[into_params(parameter_in = Query)]
    pub struct ApiKeyUsageQuery {
        /// Number of days, including today.
        #[param(required = false, nullable = false, value_type = i64, minimum = 1, maximum = 90, default = 30)]
        pub days: Option<BoundedInt<1, 90>>,
    }
}

/// The uses of a key on one day.
#[derive(Serialize, ToSchema)]
pub struct ApiKeyUsageDayResponse {
    /// Day in UTC.
    #[schema(value_type = String, format = Date)]
    pub date: NaiveDate,
    /// Number of uses, denied ones included.
    pub requests: i64,
    /// Number of uses that were denied because of the key's status, the client's address or a missing scope.
    pub denied: i64,
}

impl From<DailyUsage> for ApiKeyUsageDayResponse {
    fn from(day: DailyUsage) -> Self {
        Self {
            date: day.date,
            requests: day.requests,
            denied: day.denied,
        }
    }
}

/// The uses of a key, day by day.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeyUsage)]
pub struct ApiKeyUsageResponse {
    /// Every day of the period, today first.
    pub data: Vec<ApiKeyUsageDayResponse>,
}

/// Get the usage of an API key
///
/// Returns how often one of the caller's keys was used on each of the last days. Uses on other instances appear after
/// some seconds. Needs a session, or an API key with the scope `keys:read`.
#[utoipa::path(
    operation_id = "getApiKeyUsage", tag = "API keys", security(("session" = []), ("api_key" = ["keys:read"])),
    params(("api_key_id" = ApiKeyId, Path, description = "Id of the key"), ApiKeyUsageQuery),
    responses((status = 200, description = "The uses, day by day", body = ApiKeyUsageResponse)),
)]
#[get("/api-keys/{api_key_id}/usage")]
pub async fn get_api_key_usage(
    caller: Caller<KeysRead>,
    Path(id): Path<ApiKeyId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let (now, tenant) = (caller.now(), TenantScope::own_keys_of(&caller));
    state
        .db
        .read(now, move |tx| operations::find_in(tx, tenant, id))
        .await?;
    let query: ApiKeyUsageQuery = input.query()?;
    let days = query.days.map_or(DEFAULT_DAYS, BoundedInt::get);
    usage::flush_before_read(&state).await;
    let days = state.db.read(now, move |tx| usage::by_day(tx, id, days)).await?;
    ApiResponse::ok(&ApiKeyUsageResponse {
        data: days.into_iter().map(Into::into).collect(),
    })
}
