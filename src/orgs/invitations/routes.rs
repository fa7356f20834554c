//! `/orgs/{org_id}/invitations`: the side of those who invite.

use actix_web::{HttpResponse, delete, get, post, web};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{InvitationResponse, InvitationState};
use super::operations::{self, Listing};
use super::store::Side;
use crate::auth::{Caller, OrgRole, Session};
use crate::error::Error;
use crate::http::{ApiResponse, Idempotent, Path, RequestInput};
use crate::orgs::{OrgCaller, OrgPermission};
use crate::request_type;
use crate::state::State;
use crate::values::EmailAddress;
use crate::values::ids::{InvitationId, OrgId};
use crate::values::{Fields, FromFields};
use crate::values::{Page, PageQuery};

/// The routes of this side.
pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(create_invitation)
        .service(list_org_invitations)
        .service(get_org_invitation)
        .service(revoke_invitation)
        .service(resend_invitation);
}

request_type! {
    /// Whom to invite.
    #[derive(ToSchema)]
    pub struct CreateInvitationRequest {
        /// Their address.
        pub email: EmailAddress,
        /// The role they are offered.
        pub role: OrgRole,
    }
}

/// Which invitations are wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct InvitationFilter {
    /// Only those of which this has become.
    #[param(required = false, nullable = false)]
    #[expect(dead_code, reason = "documents what `Listing` reads")]
    state: Option<InvitationState>,
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

/// Invite somebody
///
/// For admins; only an owner invites owners and admins. A mail with a link goes to the address, and a notification to its
/// account, if it has one; the answer does not tell. One invitation may be pending for an address.
#[utoipa::path(
    operation_id = "createInvitation", tag = "Invitations", security(("session" = [])),
    request_body = CreateInvitationRequest,
    params(("org_id" = OrgId, Path, description = "The organisation")),
    responses((status = 201, description = "The invitation, good for seven days", body = InvitationResponse)),
)]
#[post("/orgs/{org_id}/invitations")]
async fn create_invitation(
    caller: Caller<Session>,
    Path(org_id): Path<OrgId>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    OrgCaller::check(&state, &caller, org_id, OrgPermission::CreateInvitation).await?;
    let request: CreateInvitationRequest = input.json().await?;
    let inner = state.clone();
    let answer = idempotent
        .transaction(&state.db, caller.now(), move |tx| {
            let whom = (&request.email, request.role);
            let invitation = operations::create(tx, &inner, &caller, org_id, whom)?;
            let path = format!("/orgs/{org_id}/invitations/{}", invitation.id);
            let response = InvitationResponse::new(invitation, caller.now(), &inner.config);
            ApiResponse::created(&inner.config, &path, &response)
        })
        .await?;
    Ok(answer)
}

/// List an organisation's invitations
///
/// The newest first. For admins.
#[utoipa::path(
    operation_id = "listOrgInvitations", tag = "Invitations", security(("session" = [])),
    params(("org_id" = OrgId, Path, description = "The organisation"), InvitationFilter, PageQuery),
    responses((status = 200, description = "Who is or was invited", body = Page<InvitationResponse>)),
)]
#[get("/orgs/{org_id}/invitations")]
async fn list_org_invitations(
    caller: Caller<Session>,
    Path(org_id): Path<OrgId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    OrgCaller::check(&state, &caller, org_id, OrgPermission::ListInvitations).await?;
    let listing: Listing = input.query()?;
    let (now, inner) = (caller.now(), state.clone());
    let page = state
        .db
        .read(now, move |tx| operations::list(tx, &inner, Side::Org(org_id), &listing))
        .await?;
    ApiResponse::ok(&page.map(|invitation| InvitationResponse::new(invitation, now, &state.config)))
}

/// See an invitation
///
/// For admins of the organisation.
#[utoipa::path(
    operation_id = "getOrgInvitation", tag = "Invitations", security(("session" = [])),
    params(
        ("org_id" = OrgId, Path, description = "The organisation"),
        ("invitation_id" = InvitationId, Path, description = "The invitation"),
    ),
    responses((status = 200, description = "The invitation", body = InvitationResponse)),
)]
#[get("/orgs/{org_id}/invitations/{invitation_id}")]
async fn get_org_invitation(
    caller: Caller<Session>,
    Path(ids): Path<(OrgId, InvitationId)>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let now = caller.now();
    let (_, invitation) = state
        .db
        .read(now, move |tx| {
            operations::find(tx, &caller, ids, OrgPermission::ReadInvitation)
        })
        .await?;
    input.none().await?;
    ApiResponse::ok(&InvitationResponse::new(invitation, now, &state.config))
}

/// Refuses before the body is read.
async fn check(
    state: &State,
    caller: &Caller<Session>,
    ids: (OrgId, InvitationId),
    act: OrgPermission,
) -> Result<(), Error> {
    let caller = caller.clone();
    let asked = state
        .db
        .read(caller.now(), move |tx| operations::find(tx, &caller, ids, act));
    asked.await.map(|_| ())
}

/// Take an invitation back
///
/// For admins. Its link dies.
#[utoipa::path(
    operation_id = "deleteInvitation", tag = "Invitations", security(("session" = [])),
    params(
        ("org_id" = OrgId, Path, description = "The organisation"),
        ("invitation_id" = InvitationId, Path, description = "The invitation"),
    ),
    responses((status = 204, description = "It is revoked")),
)]
#[delete("/orgs/{org_id}/invitations/{invitation_id}")]
async fn revoke_invitation(
    caller: Caller<Session>,
    Path(ids): Path<(OrgId, InvitationId)>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    check(&state, &caller, ids, OrgPermission::RevokeInvitation).await?;
    input.none().await?;
    state
        .db
        .transaction(caller.now(), move |tx| operations::revoke(tx, &caller, ids))
        .await?;
    Ok(ApiResponse::no_content())
}

/// Mail an invitation again
///
/// For admins. The new link is good for seven days; the old one dies.
#[utoipa::path(
    operation_id = "resendInvitation", tag = "Invitations", security(("session" = [])),
    params(
        ("org_id" = OrgId, Path, description = "The organisation"),
        ("invitation_id" = InvitationId, Path, description = "The invitation"),
    ),
    responses((status = 200, description = "The invitation as it is now", body = InvitationResponse)),
)]
#[post("/orgs/{org_id}/invitations/{invitation_id}/resend")]
async fn resend_invitation(
    caller: Caller<Session>,
    Path(ids): Path<(OrgId, InvitationId)>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    check(&state, &caller, ids, OrgPermission::ResendInvitation).await?;
    input.none().await?;
    let inner = state.clone();
    let answer = idempotent
        .transaction(&state.db, caller.now(), move |tx| {
            let invitation = operations::resend(tx, &inner, &caller, ids)?;
            ApiResponse::ok(&InvitationResponse::new(invitation, caller.now(), &inner.config))
        })
        .await?;
    Ok(answer)
}
