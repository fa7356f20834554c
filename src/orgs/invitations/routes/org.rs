//! `/orgs/{org_id}/invitations`: invite, list, read, revoke, resend.

use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, delete, get, post, web};
use futures_util::future::LocalBoxFuture;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::{Caller, OrgRole, Session};
use crate::error::Error;
use crate::http::{ApiResponse, Idempotent, RequestInput};
use crate::orgs::invitations::model::{Invitation, InvitationFilter, InvitationResponse, Scope};
use crate::orgs::invitations::operations::{self, Offer};
use crate::orgs::{self, OrgMember, PermissionType, can, guard};
use crate::request_type;
use crate::state::State;
use crate::values::ids::{InvitationId, OrgId};
use crate::values::{EmailAddress, Page, PageQuery};

pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(create_invitation)
        .service(list_org_invitations)
        .service(get_org_invitation)
        .service(revoke_invitation)
        .service(resend_invitation);
}

/// The invitation that the path names, of an organisation in which the caller has the permission `P`.
struct OrgInvitation<P> {
    invitation: Invitation,
    permission: PhantomData<P>,
}

impl<P: PermissionType> FromRequest for OrgInvitation<P> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        guard::look_up(request, payload, |tx, caller, (org_id, id)| {
            Ok(Self {
                invitation: operations::find_for_admin::<P>(tx, caller, org_id, id)?,
                permission: PhantomData,
            })
        })
    }
}

/// The invitation that the path names, which the caller may send again.
struct InvitationToResend {
    invitation: Invitation,
}

impl FromRequest for InvitationToResend {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        guard::look_up(request, payload, |tx, caller, (org_id, id)| {
            let invitation = operations::find_to_resend(tx, caller, org_id, id)?;
            Ok(Self { invitation })
        })
    }
}

request_type! {
    /// The e-mail address to invite, and its role.
    #[derive(ToSchema)]
    pub struct CreateInvitationRequest {
        /// E-mail address to invite.
        pub email: EmailAddress,
        /// Role that the invited person gets.
        pub role: OrgRole,
    }
}

/// Invite a person
///
/// Sends an e-mail with a link that is valid for seven days, and notifies the account that has this address, if there is
/// one; the response is the same in both cases. One invitation can be pending for an address, and 500 in an organisation.
/// Needs the role `admin` or `owner`; only an owner can invite with the role `admin` or `owner`.
///
/// A user can send 50 e-mails an hour and 200 a day to the addresses of others, an organisation 100 and 300; then the response
/// is 429. An address that has received too many e-mails gets no further one, but the invitation is created.
#[utoipa::path(
    operation_id = "createInvitation", tag = "Invitations", security(("session" = [])),
    request_body = CreateInvitationRequest,
    params(("org_id" = OrgId, Path, description = "Id of the organisation")),
    responses((status = 201, description = "The pending invitation", body = InvitationResponse)),
)]
#[post("/orgs/{org_id}/invitations")]
async fn create_invitation(
    caller: Caller<Session>,
    idempotent: Idempotent,
    membership: OrgMember<can::Invite>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let request: CreateInvitationRequest = input.json().await?;
    let offer = Offer {
        email: request.email,
        role: request.role,
    };
    let (org_id, invited) = (membership.org_id, offer.email.clone());
    caller
        .locking(move |tx| operations::lock_invited(tx, org_id, &invited))
        .idempotent_transaction(&state.clone(), idempotent, move |tx, caller| {
            let invitation = operations::create(tx, &state, caller, org_id, &offer)?;
            let path = format!("/orgs/{org_id}/invitations/{}", invitation.id);
            let response = InvitationResponse::new(invitation, tx.now, &state.config);
            ApiResponse::created(&state.config, &path, &response)
        })
        .await
}

/// List the invitations of an organisation
///
/// Returns the invitations of the organisation, newest first. Needs the role `admin` or `owner`.
#[utoipa::path(
    operation_id = "listOrgInvitations", tag = "Invitations", security(("session" = [])),
    params(("org_id" = OrgId, Path, description = "Id of the organisation"), InvitationFilter, PageQuery),
    responses((status = 200, description = "A page of invitations", body = Page<InvitationResponse>)),
)]
#[get("/orgs/{org_id}/invitations")]
async fn list_org_invitations(
    caller: Caller<Session>,
    membership: OrgMember<can::ListInvitations>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let (filter, page): (InvitationFilter, PageQuery) = input.query()?;
    let (db, now) = (state.db.clone(), caller.now());
    db.read(now, move |tx| {
        let scope = Scope::Org(membership.org_id);
        let invitations = operations::list(tx, &state, scope, &filter, &page)?;
        ApiResponse::ok(&invitations.map(|invitation| InvitationResponse::new(invitation, now, &state.config)))
    })
    .await
}

/// Get an invitation
///
/// Returns an invitation of the organisation. Needs the role `admin` or `owner`.
#[utoipa::path(
    operation_id = "getOrgInvitation", tag = "Invitations", security(("session" = [])),
    params(
        ("org_id" = OrgId, Path, description = "Id of the organisation"),
        ("invitation_id" = InvitationId, Path, description = "Id of the invitation"),
    ),
    responses((status = 200, description = "The invitation", body = InvitationResponse)),
)]
#[get("/orgs/{org_id}/invitations/{invitation_id}")]
async fn get_org_invitation(
    caller: Caller<Session>,
    target: OrgInvitation<can::ReadInvitation>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    ApiResponse::ok(&InvitationResponse::new(target.invitation, caller.now(), &state.config))
}

/// Revoke an invitation
///
/// Revokes a pending invitation and invalidates its link. Needs the role `admin` or `owner`.
#[utoipa::path(
    operation_id = "deleteInvitation", tag = "Invitations", security(("session" = [])),
    params(
        ("org_id" = OrgId, Path, description = "Id of the organisation"),
        ("invitation_id" = InvitationId, Path, description = "Id of the invitation"),
    ),
    responses((status = 204, description = "The invitation is revoked")),
)]
#[delete("/orgs/{org_id}/invitations/{invitation_id}")]
async fn revoke_invitation(
    caller: Caller<Session>,
    target: OrgInvitation<can::RevokeInvitation>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    let (org_id, id) = (target.invitation.org_id(), target.invitation.id);
    caller
        .transaction(&state, move |tx, caller| operations::revoke(tx, caller, org_id, id))
        .await?;
    Ok(ApiResponse::no_content())
}

/// Resend an invitation
///
/// Sends a pending invitation again with a new link, valid for seven days, and invalidates the previous link. Needs the role
/// `admin` or `owner`; only an owner can resend an invitation with the role `admin` or `owner`. If the address has received too
/// many e-mails, nothing is sent and the previous link remains valid.
#[utoipa::path(
    operation_id = "resendInvitation", tag = "Invitations", security(("session" = [])),
    params(
        ("org_id" = OrgId, Path, description = "Id of the organisation"),
        ("invitation_id" = InvitationId, Path, description = "Id of the invitation"),
    ),
    responses((status = 200, description = "The invitation with its new expiry", body = InvitationResponse)),
)]
#[post("/orgs/{org_id}/invitations/{invitation_id}/resend")]
async fn resend_invitation(
    caller: Caller<Session>,
    idempotent: Idempotent,
    target: InvitationToResend,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    input.none().await?;
    let (org_id, id) = (target.invitation.org_id(), target.invitation.id);
    caller
        .locking(orgs::locking(org_id))
        .idempotent_transaction(&state.clone(), idempotent, move |tx, caller| {
            let invitation = operations::resend(tx, &state, caller, org_id, id)?;
            ApiResponse::ok(&InvitationResponse::new(invitation, tx.now, &state.config))
        })
        .await
}
