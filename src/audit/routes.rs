//! `/me/activity` and `/orgs/{org_id}/audit-log`; that of the platform is in `admin`.

use actix_web::{get, web};
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{AuditFilterQuery, AuditRecordResponse, Log};
use super::operations;
use crate::auth::{Caller, OrgRole, Session};
use crate::error::{Code, Error};
use crate::http::{Answer, Input, Page, PageQuery, Path};
use crate::ids::OrgId;
use crate::memberships;
use crate::state::State;

/// The routes of this slice.
pub fn router(routes: &mut ServiceConfig) {
    routes.service(list_activity).service(list_org_audit_log);
}

/// List what happened with one's account
///
/// The newest first. The address and the request of what somebody else did are left out.
#[utoipa::path(
    operation_id = "listActivity", tag = "Profile", security(("session" = [])),
    params(AuditFilterQuery, PageQuery),
    responses((status = 200, description = "A page", body = Page<AuditRecordResponse>)),
)]
#[get("/me/activity")]
async fn list_activity(caller: Caller<Session>, input: Input, state: web::Data<State>) -> Result<Answer, Error> {
    let query: AuditFilterQuery = input.query()?;
    Answer::ok(&operations::list(&state, Log::Person(caller.user_id), &query).await?)
}

/// List what happened in an organisation
///
/// For its owners and admins; the newest first.
#[utoipa::path(
    operation_id = "listOrgAuditLog", tag = "Organisations", security(("session" = [])),
    params(("org_id" = OrgId, Path, description = "The organisation"), AuditFilterQuery, PageQuery),
    responses((status = 200, description = "A page", body = Page<AuditRecordResponse>)),
)]
#[get("/orgs/{org_id}/audit-log")]
async fn list_org_audit_log(
    caller: Caller<Session>,
    Path(org_id): Path<OrgId>,
    input: Input,
    state: web::Data<State>,
) -> Result<Answer, Error> {
    let user_id = caller.user_id;
    let membership = state
        .db
        .run(move |connection| memberships::require(connection, org_id, user_id))
        .await?;
    if membership.role() < OrgRole::Admin {
        return Err(Error::new(Code::ForbiddenRole));
    }
    let query: AuditFilterQuery = input.query()?;
    Answer::ok(&operations::list(&state, Log::Org(org_id), &query).await?)
}
