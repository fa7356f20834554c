//! `/orgs/{org_id}/join-requests`: the side of those who decide.

use actix_web::{HttpResponse, get, post, web};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{JoinRequestResponse, RejectionReason};
use super::operations::{self, Listing};
use super::requester_routes::JoinRequestFilter;
use super::store::Side;
use crate::auth::{Caller, OrgRole, Session};
use crate::error::Error;
use crate::http::{ApiResponse, Idempotent, Path, RequestInput};
use crate::orgs::{OrgCaller, OrgPermission};
use crate::request_type;
use crate::state::State;
use crate::values::ids::{JoinRequestId, OrgId};
use crate::values::{Page, PageQuery};

/// The routes of this side.
pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(list_org_join_requests)
        .service(approve_join_request)
        .service(reject_join_request);
}

/// List an organisation's requests to join
///
/// The newest first. For admins.
#[utoipa::path(
    operation_id = "listOrgJoinRequests", tag = "Join requests", security(("session" = [])),
    params(("org_id" = OrgId, Path, description = "The organisation"), JoinRequestFilter, PageQuery),
    responses((status = 200, description = "Who asks or asked to join", body = Page<JoinRequestResponse>)),
)]
#[get("/orgs/{org_id}/join-requests")]
async fn list_org_join_requests(
    caller: Caller<Session>,
    Path(org_id): Path<OrgId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    OrgCaller::check(&state, &caller, org_id, OrgPermission::ListJoinRequests).await?;
    let listing: Listing = input.query()?;
    let secret = state.secret.clone();
    let page = state
        .db
        .read(caller.now(), move |tx| {
            operations::list(tx, &secret, Side::Org(org_id), &listing)
        })
        .await?;
    ApiResponse::ok(&page.map(|request| JoinRequestResponse::new(request, &state.config)))
}

/// Refuses before the body is read.
async fn check(
    state: &State,
    caller: &Caller<Session>,
    ids: (OrgId, JoinRequestId),
    act: OrgPermission,
) -> Result<(), Error> {
    let caller = caller.clone();
    let asked = state
        .db
        .read(caller.now(), move |tx| operations::find(tx, &caller, ids, act));
    asked.await.map(|_| ())
}

request_type! {
    /// As what somebody comes in.
    #[derive(ToSchema)]
    pub struct ApproveJoinRequestRequest {
        /// Their role; absent: member.
        #[schema(nullable = false)]
        pub role: Option<OrgRole>,
    }
}

/// Approve a request to join
///
/// For admins; only an owner makes owners and admins. A pending invitation of the same person counts as accepted.
#[utoipa::path(
    operation_id = "approveJoinRequest", tag = "Join requests", security(("session" = [])),
    request_body = Option<ApproveJoinRequestRequest>,
    params(
        ("org_id" = OrgId, Path, description = "The organisation"),
        ("join_request_id" = JoinRequestId, Path, description = "The request"),
    ),
    responses((status = 200, description = "The request; who asked is a member now", body = JoinRequestResponse)),
)]
#[post("/orgs/{org_id}/join-requests/{join_request_id}/approve")]
async fn approve_join_request(
    caller: Caller<Session>,
    Path(ids): Path<(OrgId, JoinRequestId)>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    check(&state, &caller, ids, OrgPermission::ApproveJoinRequest).await?;
    let request: ApproveJoinRequestRequest = input.optional_json().await?;
    let role = request.role.unwrap_or(OrgRole::Member);
    let inner = state.clone();
    let answer = idempotent
        .transaction(&state.db, caller.now(), move |tx| {
            let decided = operations::approve(tx, &caller, ids, role)?;
            ApiResponse::ok(&JoinRequestResponse::new(decided, &inner.config))
        })
        .await?;
    Ok(answer)
}

request_type! {
    /// Why not.
    #[derive(ToSchema)]
    pub struct RejectJoinRequestRequest {
        /// Who asked reads it.
        pub reason: Option<RejectionReason>,
    }
}

/// Reject a request to join
///
/// For admins. Who asked is told, with the reason.
#[utoipa::path(
    operation_id = "rejectJoinRequest", tag = "Join requests", security(("session" = [])),
    request_body = Option<RejectJoinRequestRequest>,
    params(
        ("org_id" = OrgId, Path, description = "The organisation"),
        ("join_request_id" = JoinRequestId, Path, description = "The request"),
    ),
    responses((status = 200, description = "The request, rejected", body = JoinRequestResponse)),
)]
#[post("/orgs/{org_id}/join-requests/{join_request_id}/reject")]
async fn reject_join_request(
    caller: Caller<Session>,
    Path(ids): Path<(OrgId, JoinRequestId)>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    check(&state, &caller, ids, OrgPermission::RejectJoinRequest).await?;
    let request: RejectJoinRequestRequest = input.optional_json().await?;
    let inner = state.clone();
    let answer = idempotent
        .transaction(&state.db, caller.now(), move |tx| {
            let decided = operations::reject(tx, &caller, ids, request.reason.as_ref())?;
            ApiResponse::ok(&JoinRequestResponse::new(decided, &inner.config))
        })
        .await?;
    Ok(answer)
}
