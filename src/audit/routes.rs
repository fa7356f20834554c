//! `GET /me/activity`. `orgs` and `admin` serve the audit logs of organisations and of the platform.

use actix_web::{get, web};
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{AuditLogQuery, AuditRecordResponse, Scope};
use super::operations;
use crate::auth::{Caller, Session};
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::state::State;
use crate::values::{Page, PageQuery};

pub fn router(routes: &mut ServiceConfig) {
    routes.service(list_activity);
}

/// List the activity of the account
///
/// Returns the audit records about the caller's own account, newest first. Actions that strangers can repeat, such as failed
/// logins, appear up to an hour later as one record per network, with their number in `details.count`. Records of actions of other users are without
/// their IP address and request id.
#[utoipa::path(
    operation_id = "listActivity", tag = "Profile", security(("session" = [])),
    params(AuditLogQuery, PageQuery),
    responses((status = 200, description = "A page of audit records", body = Page<AuditRecordResponse>)),
)]
#[get("/me/activity")]
async fn list_activity(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let (query, page): (AuditLogQuery, PageQuery) = input.query()?;
    ApiResponse::ok(&operations::list(&state, Scope::User(caller.user_id), &query, page).await?)
}
