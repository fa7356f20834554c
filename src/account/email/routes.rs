//! `/email`.

use actix_web::{HttpResponse, delete, get, post, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::EmailChange;
use super::operations::{self, EmailStatus};
use crate::account::MailedTokenRequest;
use crate::auth::{Caller, MeRead, Password, Session};
use crate::error::Error;
use crate::http::{ApiResponse, Idempotent, RequestInput};
use crate::request_type;
use crate::secret::Token;
use crate::state::State;
use crate::users;
use crate::values::{Client, EmailAddress, Timestamp};

pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(get_email)
        .service(request_email_change)
        .service(confirm_email_change)
        .service(resend_email_change)
        .service(delete_pending_email_change)
        .service(revert_email_change);
}

/// The e-mail address of an account and its pending change.
#[derive(Serialize, ToSchema)]
#[schema(as = Email)]
pub struct EmailResponse {
    /// E-mail address, with which the user logs in.
    pub email: String,
    /// Whether the e-mail address is verified.
    pub verified: bool,
    /// Change that waits for its confirmation.
    pub pending: Option<PendingEmailResponse>,
}

/// A pending change of e-mail address.
#[derive(Serialize, ToSchema)]
#[schema(as = PendingEmail)]
pub struct PendingEmailResponse {
    /// New e-mail address, to which the confirmation link was mailed.
    pub new_email: String,
    /// Time of the request.
    pub requested_at: Timestamp,
    /// Time at which the change expires.
    pub expires_at: Timestamp,
}

impl From<EmailChange> for PendingEmailResponse {
    fn from(change: EmailChange) -> Self {
        Self {
            new_email: change.new_email,
            requested_at: change.requested_at.into(),
            expires_at: change.expires_at.into(),
        }
    }
}

impl From<EmailStatus> for EmailResponse {
    fn from(status: EmailStatus) -> Self {
        Self {
            verified: status.user.email_verified_at.is_some(),
            email: status.user.email,
            pending: status.pending.map(Into::into),
        }
    }
}

/// Get the e-mail address
///
/// Returns the address of the caller and, if one is pending, its change.
#[utoipa::path(
    operation_id = "getEmail", tag = "Email", security(("session" = []), ("api_key" = ["me:read"])),
    responses((status = 200, description = "The e-mail address and its pending change", body = EmailResponse)),
)]
#[get("/email")]
async fn get_email(caller: Caller<MeRead>, input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    input.none().await?;
    let (now, user_id) = (caller.now(), caller.user_id);
    let status = state.db.read(now, move |tx| operations::status(tx, user_id)).await?;
    ApiResponse::ok(&EmailResponse::from(status))
}

request_type! {
    /// The change of e-mail address to request.
    #[derive(ToSchema)]
    pub struct RequestEmailChangeRequest {
        /// New e-mail address.
        pub new_email: EmailAddress,
        /// New e-mail address again, if a form asks for it twice.
        #[schema(nullable = false)]
        pub confirm_email: Option<EmailAddress>,
        /// Current password. Not needed within ten minutes of a login or `POST /auth/reauthenticate`.
        #[schema(nullable = false)]
        pub current_password: Option<Password>,
    }
}

/// Request a change of e-mail address
///
/// Mails a confirmation link to the new address and a link to stop the change to the current one, which remains the login
/// until the change is confirmed (`POST /email/confirm`). Replaces a pending change. If another account has the new address,
/// the response is the same. Needs a recent authentication or the current password. Counts against the same limit as
/// invitations (`POST /orgs/{org_id}/invitations`).
#[utoipa::path(
    operation_id = "requestEmailChange", tag = "Email", security(("session" = [])),
    request_body = RequestEmailChangeRequest,
    responses((status = 202, description = "The pending change", body = EmailResponse)),
)]
#[post("/email")]
async fn request_email_change(
    mut caller: Caller<Session>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let request: RequestEmailChangeRequest = input.json().await?;
    operations::check_confirmation(&request.new_email, request.confirm_email.as_ref())?;
    users::require_fresh(&state, &mut caller, request.current_password).await?;
    let secret = state.secret.clone();
    caller
        .idempotent_transaction(&state, idempotent, move |tx, caller| {
            let status = operations::request(tx, &secret, caller, &request.new_email)?;
            ApiResponse::accepted(&EmailResponse::from(status))
        })
        .await
}

/// The confirmed e-mail address.
#[derive(Serialize, ToSchema)]
pub struct EmailConfirmedResponse {
    /// E-mail address with which the user logs in from now on.
    pub email: String,
}

/// Confirm a change of e-mail address
///
/// Uses the token of the link mailed to the new address, which becomes the login. For seven days the link mailed to the old
/// address can revert the change. While the account is disabled, the response is 403.
#[utoipa::path(
    operation_id = "confirmEmailChange", tag = "Email", request_body = MailedTokenRequest,
    responses((status = 200, description = "The new e-mail address is the login", body = EmailConfirmedResponse)),
)]
#[post("/email/confirm")]
async fn confirm_email_change(
    client: Client,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let request: MailedTokenRequest = input.json().await?;
    let (secret, token) = (state.secret.clone(), Token::new(request.token));
    let email = state
        .db
        .transaction(client.now, move |tx| operations::confirm(tx, &secret, &client, &token))
        .await?;
    ApiResponse::ok(&EmailConfirmedResponse { email })
}

/// Resend the confirmation e-mail
///
/// Mails a new link to the new address of the pending change; the previous link stops working. If the address has received too
/// many e-mails, nothing is sent and the previous link remains valid. Without a pending change the response is 409.
#[utoipa::path(
    operation_id = "resendEmailChange", tag = "Email", security(("session" = [])),
    responses((status = 202, description = "The pending change", body = EmailResponse)),
)]
#[post("/email/resend")]
async fn resend_email_change(
    caller: Caller<Session>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    input.none().await?;
    let secret = state.secret.clone();
    caller
        .idempotent_transaction(&state, idempotent, move |tx, caller| {
            let status = operations::resend(tx, &secret, caller)?;
            ApiResponse::accepted(&EmailResponse::from(status))
        })
        .await
}

/// Cancel the pending change of e-mail address
///
/// Cancels the pending change; the mailed links stop working. Without a pending change the response is 404.
#[utoipa::path(
    operation_id = "deletePendingEmailChange", tag = "Email", security(("session" = [])),
    responses((status = 204, description = "The change is cancelled")),
)]
#[delete("/email/pending")]
async fn delete_pending_email_change(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    caller.transaction(&state, operations::cancel).await?;
    Ok(ApiResponse::no_content())
}

/// Revert a change of e-mail address
///
/// Uses the token of the link mailed to the old address. A pending change is cancelled. A confirmed change can be undone for
/// seven days: the old address becomes the login again, the password is removed until a password reset sets a new one,
/// every session ends, and the API keys that were created, rotated, enabled or given more since the request are disabled.
#[utoipa::path(
    operation_id = "revertEmailChange", tag = "Email", request_body = MailedTokenRequest,
    responses((status = 204, description = "The old e-mail address is the login")),
)]
#[post("/email/revert")]
async fn revert_email_change(
    client: Client,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let request: MailedTokenRequest = input.json().await?;
    let token = Token::new(request.token);
    state
        .db
        .transaction(client.now, move |tx| operations::revert(tx, &client, &token))
        .await?;
    Ok(ApiResponse::no_content())
}
