//! `/orgs/{org_id}/audit-log`.

use actix_web::{get, web};

use super::{OrgCaller, OrgPermission};
use crate::audit::{self, AuditFilterQuery, AuditRecordResponse, Log};
use crate::auth::{Caller, Session};
use crate::error::Error;
use crate::http::{ApiResponse, Path, RequestInput};
use crate::state::State;
use crate::values::ids::OrgId;
use crate::values::{Page, PageQuery};

/// List what happened in an organisation
///
/// For its owners and admins; the newest first.
#[utoipa::path(
    operation_id = "listOrgAuditLog", tag = "Organisations", security(("session" = [])),
    params(("org_id" = OrgId, Path, description = "The organisation"), AuditFilterQuery, PageQuery),
    responses((status = 200, description = "A page", body = Page<AuditRecordResponse>)),
)]
#[get("/orgs/{org_id}/audit-log")]
pub async fn list_org_audit_log(
    caller: Caller<Session>,
    Path(org_id): Path<OrgId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    OrgCaller::check(&state, &caller, org_id, OrgPermission::ReadAuditLog).await?;
    let query: AuditFilterQuery = input.query()?;
    ApiResponse::ok(&audit::list(&state, Log::Org(org_id), &query).await?)
}
