//! `/orgs/{org_id}/join-requests`: list, reject. `admission` has the approval.

use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, get, post, web};
use futures_util::future::LocalBoxFuture;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::{Caller, Session};
use crate::error::Error;
use crate::http::{ApiResponse, Idempotent, RequestInput};
use crate::orgs::join_requests::model::{JoinRequest, JoinRequestFilter, JoinRequestResponse, RejectionReason, Scope};
use crate::orgs::join_requests::operations;
use crate::orgs::{OrgMember, PermissionType, can, guard};
use crate::request_type;
use crate::state::State;
use crate::values::ids::{JoinRequestId, OrgId};
use crate::values::{Page, PageQuery};

pub fn router(routes: &mut ServiceConfig) {
    routes.service(list_org_join_requests).service(reject_join_request);
}

/// The request that the path names, to an organisation in which the caller has the permission `P`.
pub struct OrgJoinRequest<P> {
    pub request: JoinRequest,
    permission: PhantomData<P>,
}

impl<P: PermissionType> FromRequest for OrgJoinRequest<P> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        guard::look_up(request, payload, |tx, caller, (org_id, id)| {
            Ok(Self {
                request: operations::find_for_admin::<P>(tx, caller, org_id, id)?,
                permission: PhantomData,
            })
        })
    }
}

/// List the requests to join an organisation
///
/// Returns the requests to join the organisation, newest first. Needs the role `admin` or `owner`.
#[utoipa::path(
    operation_id = "listOrgJoinRequests", tag = "Join requests", security(("session" = [])),
    params(("org_id" = OrgId, Path, description = "Id of the organisation"), JoinRequestFilter, PageQuery),
    responses((status = 200, description = "A page of requests to join", body = Page<JoinRequestResponse>)),
)]
#[get("/orgs/{org_id}/join-requests")]
async fn list_org_join_requests(
    caller: Caller<Session>,
    membership: OrgMember<can::ListJoinRequests>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let (filter, page): (JoinRequestFilter, PageQuery) = input.query()?;
    let secret = state.secret.clone();
    let requests = state
        .db
        .read(caller.now(), move |tx| {
            operations::list(tx, &secret, Scope::Org(membership.org_id), &filter, &page)
        })
        .await?;
    ApiResponse::ok(&requests.map(|request| JoinRequestResponse::new(request, &state.config)))
}

request_type! {
    /// The reason for a rejection.
    #[derive(ToSchema)]
    pub struct RejectJoinRequestRequest {
        /// Reason, which the user is notified of.
        pub reason: Option<RejectionReason>,
    }
}

/// Reject a request to join
///
/// Rejects a pending request and notifies the user, with the reason if one is given. They can make another request.
/// Needs the role `admin` or `owner`.
#[utoipa::path(
    operation_id = "rejectJoinRequest", tag = "Join requests", security(("session" = [])),
    request_body = Option<RejectJoinRequestRequest>,
    params(
        ("org_id" = OrgId, Path, description = "Id of the organisation"),
        ("join_request_id" = JoinRequestId, Path, description = "Id of the request"),
    ),
    responses((status = 200, description = "The rejected request", body = JoinRequestResponse)),
)]
#[post("/orgs/{org_id}/join-requests/{join_request_id}/reject")]
async fn reject_join_request(
    caller: Caller<Session>,
    idempotent: Idempotent,
    target: OrgJoinRequest<can::RejectJoinRequest>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let RejectJoinRequestRequest { reason } = input.optional_json().await?;
    let (org_id, id) = (target.request.org.id, target.request.id);
    caller
        .locking(move |tx| operations::list_requester(tx, org_id, id))
        .idempotent_transaction(&state.clone(), idempotent, move |tx, caller| {
            let rejected = operations::reject(tx, caller, org_id, id, reason.as_ref())?;
            ApiResponse::ok(&JoinRequestResponse::new(rejected, &state.config))
        })
        .await
}
