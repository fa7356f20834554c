//! `/invitations`: the side of those who are invited.

use actix_web::{HttpResponse, get, post, web};
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::InvitationResponse;
use super::operations::{self, Listing};
use super::routes::InvitationFilter;
use super::store::Side;
use crate::account::MailedTokenRequest;
use crate::auth::{Caller, Session};
use crate::error::Error;
use crate::http::{ApiResponse, Idempotent, Path, RequestInput};
use crate::secret::Token;
use crate::state::State;
use crate::values::ids::InvitationId;
use crate::values::{Page, PageQuery};

/// The routes of this side.
pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(list_invitations)
        .service(accept_mailed_invitation)
        .service(accept_invitation)
        .service(decline_invitation);
}

/// List one's invitations
///
/// Those for the caller's address, the newest first.
#[utoipa::path(
    operation_id = "listInvitations", tag = "Invitations", security(("session" = [])),
    params(InvitationFilter, PageQuery),
    responses((status = 200, description = "Where the caller is or was invited", body = Page<InvitationResponse>)),
)]
#[get("/invitations")]
async fn list_invitations(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let listing: Listing = input.query()?;
    let (now, inner) = (caller.now(), state.clone());
    let page = state
        .db
        .read(now, move |tx| {
            let user = operations::invited(tx, &caller)?;
            operations::list(tx, &inner, Side::Email(&user.email), &listing)
        })
        .await?;
    ApiResponse::ok(&page.map(|invitation| InvitationResponse::new(invitation, now, &state.config)))
}

/// Accept an invitation by its mailed link
///
/// The token proves the mailbox, so the caller's own address may be another.
#[utoipa::path(
    operation_id = "acceptMailedInvitation", tag = "Invitations", security(("session" = [])),
    request_body = MailedTokenRequest,
    responses((status = 200, description = "The invitation; the caller is a member now", body = InvitationResponse)),
)]
#[post("/invitations/accept")]
async fn accept_mailed_invitation(
    caller: Caller<Session>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let request: MailedTokenRequest = input.json().await?;
    let token = Token::presented(request.token);
    let inner = state.clone();
    idempotent
        .transaction(&state.db, caller.now(), move |tx| {
            let invitation = operations::accept_mailed(tx, &caller, &token)?;
            ApiResponse::ok(&InvitationResponse::new(invitation, caller.now(), &inner.config))
        })
        .await
}

/// Refuses before the body is read.
async fn check(state: &State, caller: &Caller<Session>, id: InvitationId) -> Result<(), Error> {
    let caller = caller.clone();
    let asked = state
        .db
        .read(caller.now(), move |tx| operations::find_own(tx, &caller, id));
    asked.await.map(|_| ())
}

/// Accept an invitation
///
/// Only with the proven address that was invited. A pending request to join is settled with it.
#[utoipa::path(
    operation_id = "acceptInvitation", tag = "Invitations", security(("session" = [])),
    params(("invitation_id" = InvitationId, Path, description = "The invitation")),
    responses((status = 200, description = "The invitation; the caller is a member now", body = InvitationResponse)),
)]
#[post("/invitations/{invitation_id}/accept")]
async fn accept_invitation(
    caller: Caller<Session>,
    Path(id): Path<InvitationId>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    check(&state, &caller, id).await?;
    input.none().await?;
    let inner = state.clone();
    idempotent
        .transaction(&state.db, caller.now(), move |tx| {
            let invitation = operations::accept(tx, &caller, id)?;
            ApiResponse::ok(&InvitationResponse::new(invitation, caller.now(), &inner.config))
        })
        .await
}

/// Decline an invitation
///
/// Only with the proven address that was invited.
#[utoipa::path(
    operation_id = "declineInvitation", tag = "Invitations", security(("session" = [])),
    params(("invitation_id" = InvitationId, Path, description = "The invitation")),
    responses((status = 200, description = "The invitation, declined", body = InvitationResponse)),
)]
#[post("/invitations/{invitation_id}/decline")]
async fn decline_invitation(
    caller: Caller<Session>,
    Path(id): Path<InvitationId>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    check(&state, &caller, id).await?;
    input.none().await?;
    let inner = state.clone();
    idempotent
        .transaction(&state.db, caller.now(), move |tx| {
            let invitation = operations::decline(tx, &caller, id)?;
            ApiResponse::ok(&InvitationResponse::new(invitation, caller.now(), &inner.config))
        })
        .await
}
