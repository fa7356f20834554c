//! `GET /orgs/{org_id}/audit-log`.

use actix_web::{get, web};

use super::org_member::OrgMember;
use super::permissions::can;
use crate::audit::{self, AuditLogQuery, AuditRecordResponse, Scope};
use crate::auth::{Caller, Session};
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::state::State;
use crate::values::ids::OrgId;
use crate::values::{Page, PageQuery};

/// List the audit log of an organisation
///
/// Returns the audit records about the organisation, newest first. Needs the role `admin` or `owner`.
#[utoipa::path(
    operation_id = "listOrgAuditLog", tag = "Organisations", security(("session" = [])),
    params(("org_id" = OrgId, Path, description = "Id of the organisation"), AuditLogQuery, PageQuery),
    responses((status = 200, description = "A page of audit records", body = Page<AuditRecordResponse>)),
)]
#[get("/orgs/{org_id}/audit-log")]
pub async fn list_org_audit_log(
    _caller: Caller<Session>,
    membership: OrgMember<can::ReadAuditLog>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let (query, page): (AuditLogQuery, PageQuery) = input.query()?;
    ApiResponse::ok(&audit::list(&state, Scope::Org(membership.org_id), &query, page).await?)
}
