//! `POST /invitations/{invitation_id}/accept`, `POST /invitations/accept`,
//! `POST /orgs/{org_id}/join-requests/{join_request_id}/approve`.

use actix_web::{HttpResponse, post, web};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::operations;
use crate::account::MailedTokenRequest;
use crate::auth::{Caller, OrgRole, Session};
use crate::error::Error;
use crate::http::{ApiResponse, Idempotent, RequestInput};
use crate::orgs::can;
use crate::orgs::invitations::{InvitationResponse, OwnInvitation};
use crate::orgs::join_requests::{JoinRequestResponse, OrgJoinRequest};
use crate::request_type;
use crate::secret::Token;
use crate::state::State;
use crate::values::ids::{InvitationId, JoinRequestId, OrgId};

pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(accept_mailed_invitation)
        .service(accept_invitation)
        .service(approve_join_request);
}

/// Accept an invitation
///
/// Makes the caller a member of the organisation with the role of the invitation. The invitation must be pending and for the
/// caller's verified e-mail address. A pending request of the caller to join the organisation becomes `approved`. An
/// organisation can have 10,000 members.
#[utoipa::path(
    operation_id = "acceptInvitation", tag = "Invitations", security(("session" = [])),
    params(("invitation_id" = InvitationId, Path, description = "Id of the invitation")),
    responses((status = 200, description = "The accepted invitation", body = InvitationResponse)),
)]
#[post("/invitations/{invitation_id}/accept")]
async fn accept_invitation(
    caller: Caller<Session>,
    idempotent: Idempotent,
    target: OwnInvitation,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    input.none().await?;
    let id = target.invitation.id;
    caller
        .locking(move |tx| operations::lock_inviter(tx, id))
        .idempotent_transaction(&state.clone(), idempotent, move |tx, caller| {
            let invitation = operations::accept_by_id(tx, caller, id)?;
            ApiResponse::ok(&InvitationResponse::new(invitation, tx.now, &state.config))
        })
        .await
}

/// Accept an invitation with its mailed token
///
/// Makes the caller a member of the organisation with the role of the invitation. Only the invited mailbox
/// received the token, so the caller's account may have another e-mail address. A pending request of the caller to join the
/// organisation becomes `approved`. An organisation can have 10,000 members.
#[utoipa::path(
    operation_id = "acceptMailedInvitation", tag = "Invitations", security(("session" = [])),
    request_body = MailedTokenRequest,
    responses((status = 200, description = "The accepted invitation", body = InvitationResponse)),
)]
#[post("/invitations/accept")]
async fn accept_mailed_invitation(
    caller: Caller<Session>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let request: MailedTokenRequest = input.json().await?;
    let token = Token::new(request.token);
    let mailed_token = token.clone();
    caller
        .locking(move |tx| operations::lock_mailed_inviter(tx, &mailed_token))
        .idempotent_transaction(&state.clone(), idempotent, move |tx, caller| {
            let invitation = operations::accept_by_token(tx, caller, &token)?;
            ApiResponse::ok(&InvitationResponse::new(invitation, tx.now, &state.config))
        })
        .await
}

request_type! {
    /// The role of the new member.
    #[derive(ToSchema)]
    pub struct ApproveJoinRequestRequest {
        /// Role that the user gets; `member` when absent.
        #[schema(nullable = false)]
        pub role: Option<OrgRole>,
    }
}

/// Approve a request to join
///
/// Makes the user a member and notifies them. A pending invitation of the same user becomes `accepted`. Needs the role
/// `admin` or `owner`; only an owner can approve with the role `admin` or `owner`. An organisation can have 10,000 members.
#[utoipa::path(
    operation_id = "approveJoinRequest", tag = "Join requests", security(("session" = [])),
    request_body = Option<ApproveJoinRequestRequest>,
    params(
        ("org_id" = OrgId, Path, description = "Id of the organisation"),
        ("join_request_id" = JoinRequestId, Path, description = "Id of the request"),
    ),
    responses((status = 200, description = "The approved request", body = JoinRequestResponse)),
)]
#[post("/orgs/{org_id}/join-requests/{join_request_id}/approve")]
async fn approve_join_request(
    caller: Caller<Session>,
    idempotent: Idempotent,
    target: OrgJoinRequest<can::ApproveJoinRequest>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let request: ApproveJoinRequestRequest = input.optional_json().await?;
    let role = request.role.unwrap_or(OrgRole::Member);
    let (org_id, id) = (target.request.org.id, target.request.id);
    caller
        .locking(move |tx| operations::lock_requester(tx, org_id, id))
        .idempotent_transaction(&state.clone(), idempotent, move |tx, caller| {
            let approved = operations::approve_join_request(tx, caller, org_id, id, role)?;
            ApiResponse::ok(&JoinRequestResponse::new(approved, &state.config))
        })
        .await
}
