//! `/orgs/lookup`, `/join-requests`, and asking: the side of those who want in.

use actix_web::{HttpResponse, delete, get, post, web};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{JoinRequestResponse, JoinRequestState, RequestMessage};
use super::operations::{self, Listing};
use super::store::Side;
use crate::auth::{Caller, Session};
use crate::error::Error;
use crate::http::{ApiResponse, Idempotent, Path, RequestInput};
use crate::images;
use crate::orgs::JoinPolicy;
use crate::request_type;
use crate::state::State;
use crate::values::ids::{JoinRequestId, OrgId};
use crate::values::{Fields, FromFields};
use crate::values::{Page, PageQuery};

/// The routes of this side. The look-up stands before whatever takes any word for an id.
pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(look_up_org)
        .service(create_join_request)
        .service(list_own_join_requests)
        .service(get_join_request)
        .service(withdraw_join_request);
}

request_type! {
    /// Which organisation is meant.
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    struct LookUpQuery {
        /// Its unique short name.
        slug: String,
    }
}

/// An organisation that takes requests to join.
#[derive(Serialize, ToSchema)]
#[schema(as = OrgLookup)]
pub struct OrgLookupResponse {
    /// The organisation.
    pub id: OrgId,
    /// What it is called.
    pub name: String,
    /// Its unique short name.
    pub slug: String,
    /// Its logo.
    pub logo_url: Option<String>,
    /// How people come into it.
    pub join_policy: JoinPolicy,
}

/// Find an organisation to join
///
/// Only those that take requests are found.
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
        .read(caller.now(), move |tx| operations::look_up(tx, query.slug))
        .await?;
    ApiResponse::ok(&OrgLookupResponse {
        id: org.id,
        logo_url: org.logo_id.map(|id| images::url(&state.config, id)),
        join_policy: org.join_policy(),
        name: org.name,
        slug: org.slug,
    })
}

request_type! {
    /// What to say with it.
    #[derive(ToSchema)]
    pub struct CreateJoinRequestRequest {
        /// For those who decide.
        pub message: Option<RequestMessage>,
    }
}

/// Ask to join
///
/// Only where requests are taken. Everybody who runs the organisation is told.
#[utoipa::path(
    operation_id = "createJoinRequest", tag = "Join requests", security(("session" = [])),
    request_body = Option<CreateJoinRequestRequest>,
    params(("org_id" = OrgId, Path, description = "The organisation")),
    responses((status = 201, description = "The request", body = JoinRequestResponse)),
)]
#[post("/orgs/{org_id}/join-requests")]
async fn create_join_request(
    caller: Caller<Session>,
    Path(org_id): Path<OrgId>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let asking = caller.clone();
    state
        .db
        .read(caller.now(), move |tx| operations::require_open(tx, &asking, org_id))
        .await?;
    let request: CreateJoinRequestRequest = input.optional_json().await?;
    let inner = state.clone();
    let answer = idempotent
        .transaction(&state.db, caller.now(), move |tx| {
            let made = operations::create(tx, &inner, &caller, org_id, request.message.as_ref())?;
            let path = format!("/orgs/{org_id}/join-requests/{}", made.id);
            ApiResponse::created(&inner.config, &path, &JoinRequestResponse::new(made, &inner.config))
        })
        .await?;
    Ok(answer)
}

/// Which requests are wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct JoinRequestFilter {
    /// Only those of which this has become.
    #[param(required = false, nullable = false)]
    #[expect(dead_code, reason = "documents what `Listing` reads")]
    state: Option<JoinRequestState>,
}

impl FromFields for Listing {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (page, state) = (PageQuery::from_fields(fields), fields.take("state"));
        Some(Self {
            state: state?,
            page: page?,
        })
    }
}

/// List one's requests to join
///
/// The newest first.
#[utoipa::path(
    operation_id = "listJoinRequests", tag = "Join requests", security(("session" = [])),
    params(JoinRequestFilter, PageQuery),
    responses((status = 200, description = "Where the caller asked to join", body = Page<JoinRequestResponse>)),
)]
#[get("/join-requests")]
async fn list_own_join_requests(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let listing: Listing = input.query()?;
    let (secret, side) = (state.secret.clone(), Side::User(caller.user_id));
    let page = state
        .db
        .read(caller.now(), move |tx| operations::list(tx, &secret, side, &listing))
        .await?;
    ApiResponse::ok(&page.map(|request| JoinRequestResponse::new(request, &state.config)))
}

/// See a request to join
///
/// For who asked, and for admins of the organisation.
#[utoipa::path(
    operation_id = "getJoinRequest", tag = "Join requests", security(("session" = [])),
    params(
        ("org_id" = OrgId, Path, description = "The organisation"),
        ("join_request_id" = JoinRequestId, Path, description = "The request"),
    ),
    responses((status = 200, description = "The request", body = JoinRequestResponse)),
)]
#[get("/orgs/{org_id}/join-requests/{join_request_id}")]
async fn get_join_request(
    caller: Caller<Session>,
    Path(ids): Path<(OrgId, JoinRequestId)>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let request = state
        .db
        .read(caller.now(), move |tx| operations::read(tx, &caller, ids))
        .await?;
    input.none().await?;
    ApiResponse::ok(&JoinRequestResponse::new(request, &state.config))
}

/// Withdraw a request to join
///
/// Only for who asked.
#[utoipa::path(
    operation_id = "deleteJoinRequest", tag = "Join requests", security(("session" = [])),
    params(
        ("org_id" = OrgId, Path, description = "The organisation"),
        ("join_request_id" = JoinRequestId, Path, description = "The request"),
    ),
    responses((status = 204, description = "It is withdrawn")),
)]
#[delete("/orgs/{org_id}/join-requests/{join_request_id}")]
async fn withdraw_join_request(
    caller: Caller<Session>,
    Path(ids): Path<(OrgId, JoinRequestId)>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let asking = caller.clone();
    state
        .db
        .read(caller.now(), move |tx| operations::find_own(tx, &asking, ids))
        .await?;
    input.none().await?;
    state
        .db
        .transaction(caller.now(), move |tx| operations::withdraw(tx, &caller, ids))
        .await?;
    Ok(ApiResponse::no_content())
}
