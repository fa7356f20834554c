//! `/orgs/lookup`, `/join-requests`, and a user's own request: create, read, withdraw.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, delete, get, post, web};
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::{Caller, Session};
use crate::error::Error;
use crate::http::{ApiResponse, Idempotent, RequestInput};
use crate::images;
use crate::orgs::join_requests::model::{JoinRequest, JoinRequestFilter, JoinRequestResponse, RequestMessage, Scope};
use crate::orgs::join_requests::operations;
use crate::orgs::{self, JoinPolicy, Org, guard};
use crate::request_type;
use crate::state::State;
use crate::values::ids::{JoinRequestId, OrgId};
use crate::values::{Page, PageQuery};

pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(look_up_org)
        .service(create_join_request)
        .service(list_own_join_requests)
        .service(get_join_request)
        .service(withdraw_join_request);
}

/// The organisation that the path names, which accepts requests to join.
struct OpenOrg {
    org: Org,
}

impl FromRequest for OpenOrg {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        guard::look_up(request, payload, |tx, caller, org_id| {
            let org = operations::find_open(tx, caller, org_id)?;
            Ok(Self { org })
        })
    }
}

/// The request that the path names, which the caller may read.
struct VisibleJoinRequest {
    request: JoinRequest,
}

impl FromRequest for VisibleJoinRequest {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        guard::look_up(request, payload, |tx, caller, (org_id, id)| {
            let request = operations::find_visible(tx, caller, org_id, id)?;
            Ok(Self { request })
        })
    }
}

/// The request that the path names, which the caller made.
struct OwnJoinRequest {
    request: JoinRequest,
}

impl FromRequest for OwnJoinRequest {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        guard::look_up(request, payload, |tx, caller, (org_id, id)| {
            let request = operations::find_own(tx, caller, org_id, id)?;
            Ok(Self { request })
        })
    }
}

request_type! {
    /// The organisation to look up.
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    struct LookUpQuery {
        /// Unique short name of the organisation.
        slug: String,
    }
}

/// An organisation that accepts requests to join.
#[derive(Serialize, ToSchema)]
#[schema(as = OrgLookup)]
pub struct OrgLookupResponse {
    /// Id of the organisation.
    pub id: OrgId,
    /// Name of the organisation.
    pub name: String,
    /// Unique short name of the organisation, in lower case.
    pub slug: String,
    /// URL of the logo.
    pub logo_url: Option<String>,
    /// How a user can become a member; always `request`.
    pub join_policy: JoinPolicy,
}

/// Look up an organisation to join
///
/// Returns the organisation with this slug if it accepts requests to join; every other slug is 404.
#[utoipa::path(
    operation_id = "lookUpOrg", tag = "Join requests", security(("session" = [])), params(LookUpQuery),
    responses((status = 200, description = "The organisation", body = OrgLookupResponse)),
)]
#[get("/orgs/lookup")]
async fn look_up_org(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let query: LookUpQuery = input.query()?;
    let org = state
        .db
        .read(caller.now(), move |tx| operations::find_open_by_slug(tx, query.slug))
        .await?;
    ApiResponse::ok(&OrgLookupResponse {
        id: org.id,
        name: org.name,
        slug: org.slug,
        logo_url: org.logo_id.map(|id| images::url(&state.config, id)),
        join_policy: org.join_policy,
    })
}

request_type! {
    /// A request to join.
    #[derive(ToSchema)]
    pub struct CreateJoinRequestRequest {
        /// Message to the owners and admins of the organisation.
        pub message: Option<RequestMessage>,
    }
}

/// Request to join an organisation
///
/// Creates a pending request and notifies every owner and admin of the organisation. Only an organisation with the join
/// policy `request` accepts requests; every other one is 404. A user can have one pending request to an organisation,
/// and 100 in all.
#[utoipa::path(
    operation_id = "createJoinRequest", tag = "Join requests", security(("session" = [])),
    request_body = Option<CreateJoinRequestRequest>,
    params(("org_id" = OrgId, Path, description = "Id of the organisation")),
    responses((status = 201, description = "The pending request", body = JoinRequestResponse)),
)]
#[post("/orgs/{org_id}/join-requests")]
async fn create_join_request(
    caller: Caller<Session>,
    idempotent: Idempotent,
    target: OpenOrg,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let CreateJoinRequestRequest { message } = input.optional_json().await?;
    let org_id = target.org.id;
    caller
        .locking(orgs::locking(org_id))
        .idempotent_transaction(&state.clone(), idempotent, move |tx, caller| {
            let request = operations::create(tx, caller, org_id, message.as_ref())?;
            let path = format!("/orgs/{org_id}/join-requests/{}", request.id);
            ApiResponse::created(&state.config, &path, &JoinRequestResponse::new(request, &state.config))
        })
        .await
}

/// List my requests to join
///
/// Returns the caller's requests to join organisations, newest first.
#[utoipa::path(
    operation_id = "listJoinRequests", tag = "Join requests", security(("session" = [])),
    params(JoinRequestFilter, PageQuery),
    responses((status = 200, description = "A page of requests to join", body = Page<JoinRequestResponse>)),
)]
#[get("/join-requests")]
async fn list_own_join_requests(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let (filter, page): (JoinRequestFilter, PageQuery) = input.query()?;
    let (secret, scope) = (state.secret.clone(), Scope::User(caller.user_id));
    let requests = state
        .db
        .read(caller.now(), move |tx| {
            operations::list(tx, &secret, scope, &filter, &page)
        })
        .await?;
    ApiResponse::ok(&requests.map(|request| JoinRequestResponse::new(request, &state.config)))
}

/// Get a request to join
///
/// Returns a request to the user who made it, and to the owners and admins of the organisation.
#[utoipa::path(
    operation_id = "getJoinRequest", tag = "Join requests", security(("session" = [])),
    params(
        ("org_id" = OrgId, Path, description = "Id of the organisation"),
        ("join_request_id" = JoinRequestId, Path, description = "Id of the request"),
    ),
    responses((status = 200, description = "The request", body = JoinRequestResponse)),
)]
#[get("/orgs/{org_id}/join-requests/{join_request_id}")]
async fn get_join_request(
    _caller: Caller<Session>,
    target: VisibleJoinRequest,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    ApiResponse::ok(&JoinRequestResponse::new(target.request, &state.config))
}

/// Withdraw a request to join
///
/// Withdraws a pending request that the caller made.
#[utoipa::path(
    operation_id = "deleteJoinRequest", tag = "Join requests", security(("session" = [])),
    params(
        ("org_id" = OrgId, Path, description = "Id of the organisation"),
        ("join_request_id" = JoinRequestId, Path, description = "Id of the request"),
    ),
    responses((status = 204, description = "The request is withdrawn")),
)]
#[delete("/orgs/{org_id}/join-requests/{join_request_id}")]
async fn withdraw_join_request(
    caller: Caller<Session>,
    target: OwnJoinRequest,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    let (org_id, id) = (target.request.org.id, target.request.id);
    caller
        .transaction(&state, move |tx, caller| operations::withdraw(tx, caller, org_id, id))
        .await?;
    Ok(ApiResponse::no_content())
}
