//! `/invitations`: list mine, decline. `admission` has the two endpoints that accept.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, get, post, web};
use futures_util::future::LocalBoxFuture;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::{Caller, Session};
use crate::error::Error;
use crate::http::{ApiResponse, Idempotent, RequestInput};
use crate::orgs::guard;
use crate::orgs::invitations::model::{Invitation, InvitationFilter, InvitationResponse, Scope};
use crate::orgs::invitations::operations;
use crate::state::State;
use crate::values::ids::InvitationId;
use crate::values::{Page, PageQuery};

pub fn router(routes: &mut ServiceConfig) {
    routes.service(list_invitations).service(decline_invitation);
}

/// The invitation that the path names, for the caller's verified address.
pub struct OwnInvitation {
    pub invitation: Invitation,
}

impl FromRequest for OwnInvitation {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        guard::look_up(request, payload, |tx, caller, id| {
            let invitation = operations::find_for_caller(tx, caller, id)?;
            Ok(Self { invitation })
        })
    }
}

/// List my invitations
///
/// Returns the invitations for the caller's verified e-mail address, newest first.
#[utoipa::path(
    operation_id = "listInvitations", tag = "Invitations", security(("session" = [])),
    params(InvitationFilter, PageQuery),
    responses((status = 200, description = "A page of invitations", body = Page<InvitationResponse>)),
)]
#[get("/invitations")]
async fn list_invitations(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let (filter, page): (InvitationFilter, PageQuery) = input.query()?;
    let (db, now) = (state.db.clone(), caller.now());
    db.read(now, move |tx| {
        let user = operations::find_invited_user(tx, &caller)?;
        let invitations = operations::list(tx, &state, Scope::Email(&user.email), &filter, &page)?;
        ApiResponse::ok(&invitations.map(|invitation| InvitationResponse::new(invitation, now, &state.config)))
    })
    .await
}

/// Decline an invitation
///
/// Declines a pending invitation for the caller's verified e-mail address, and invalidates its link. The address can be
/// invited again.
#[utoipa::path(
    operation_id = "declineInvitation", tag = "Invitations", security(("session" = [])),
    params(("invitation_id" = InvitationId, Path, description = "Id of the invitation")),
    responses((status = 200, description = "The declined invitation", body = InvitationResponse)),
)]
#[post("/invitations/{invitation_id}/decline")]
async fn decline_invitation(
    caller: Caller<Session>,
    idempotent: Idempotent,
    target: OwnInvitation,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    input.none().await?;
    caller
        .idempotent_transaction(&state.clone(), idempotent, move |tx, caller| {
            let invitation = operations::decline(tx, caller, target.invitation.id)?;
            ApiResponse::ok(&InvitationResponse::new(invitation, tx.now, &state.config))
        })
        .await
}
