//! `/me/activity`; the log of an organisation is in `orgs`, that of the platform in `admin`.

use actix_web::{get, web};
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{AuditLogQuery, AuditRecordResponse, Scope};
use super::operations;
use crate::auth::{Caller, Session};
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::state::State;
use crate::values::{Page, PageQuery};

/// The routes of this slice.
pub fn router(routes: &mut ServiceConfig) {
    routes.service(list_activity);
}

/// List what happened with one's account
///
/// The newest first. The address and the request of what somebody else did are left out.
#[utoipa::path(
    operation_id = "listActivity", tag = "Profile", security(("session" = [])),
    params(AuditLogQuery, PageQuery),
    responses((status = 200, description = "A page", body = Page<AuditRecordResponse>)),
)]
#[get("/me/activity")]
async fn list_activity(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let query: AuditLogQuery = input.query()?;
    ApiResponse::ok(&operations::list(&state, Scope::User(caller.user_id), &query).await?)
}
