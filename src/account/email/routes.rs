//! `/email`.

use actix_web::{HttpResponse, delete, get, post, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::EmailChange;
use super::operations::{self, Email};
use crate::account::MailedTokenRequest;
use crate::auth::{Caller, MeRead, Password, Session};
use crate::error::{Error, FieldCode, Invalid};
use crate::http::{ApiResponse, Idempotent, RequestInput};
use crate::request_type;
use crate::secret::Token;
use crate::state::State;
use crate::users;
use crate::values::Client;
use crate::values::EmailAddress;
use crate::values::Timestamp;

/// The routes of this slice.
pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(get_email)
        .service(request_email_change)
        .service(confirm_email_change)
        .service(resend_email_change)
        .service(delete_pending_email_change)
        .service(revert_email_change);
}

/// The address of an account.
#[derive(Serialize, ToSchema)]
#[schema(as = Email)]
pub struct EmailResponse {
    /// The login.
    pub email: String,
    /// Whether it is proven.
    pub verified: bool,
    /// The change that waits for the new address to prove itself.
    pub pending: Option<PendingEmailResponse>,
}

/// A change of address that waits.
#[derive(Serialize, ToSchema)]
#[schema(as = PendingEmail)]
pub struct PendingEmailResponse {
    /// Where the link went.
    pub new_email: String,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// Until when the link works.
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

impl From<Email> for EmailResponse {
    fn from(email: Email) -> Self {
        Self {
            verified: email.user.email_verified_at.is_some(),
            email: email.user.email,
            pending: email.pending.map(Into::into),
        }
    }
}

/// The address and its change
#[utoipa::path(
    operation_id = "getEmail", tag = "Email", security(("session" = []), ("api_key" = ["me:read"])),
    responses((status = 200, description = "The address, and the change that waits", body = EmailResponse)),
)]
#[get("/email")]
async fn get_email(caller: Caller<MeRead>, input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    input.none().await?;
    let (now, user_id) = (caller.now(), caller.user_id);
    let email = state.db.read(now, move |tx| operations::status(tx, user_id)).await?;
    ApiResponse::ok(&EmailResponse::from(email))
}

request_type! {
    /// Which address to change to.
    #[derive(ToSchema)]
    pub struct RequestEmailChangeRequest {
        /// The new address.
        pub new_email: EmailAddress,
        /// The new address once more, where a form asks for it twice.
        #[schema(nullable = false)]
        pub confirm_email: Option<EmailAddress>,
        /// The password; not needed within ten minutes of a login or `POST /auth/reauthenticate`.
        #[schema(nullable = false)]
        pub current_password: Option<Password>,
    }
}

/// Change the address
///
/// The old address stays the login until the new one is proven by the link mailed to it. A newer request replaces an older
/// one. A taken address is accepted alike.
#[utoipa::path(
    operation_id = "requestEmailChange", tag = "Email", security(("session" = [])),
    request_body = RequestEmailChangeRequest,
    responses((status = 202, description = "A mail is on its way", body = EmailResponse)),
)]
#[post("/email")]
async fn request_email_change(
    caller: Caller<Session>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let request: RequestEmailChangeRequest = input.json().await?;
    if request
        .confirm_email
        .as_ref()
        .is_some_and(|repeated| *repeated != request.new_email)
    {
        let mismatch = Invalid::new(FieldCode::Mismatch, "The two addresses differ.");
        return Err(Error::field("#/confirm_email", mismatch));
    }
    users::require_fresh(&state, &caller, request.current_password).await?;
    let (secret, limit) = (state.secret.clone(), state.mail_limit);
    let response = idempotent
        .transaction(&state.db, caller.now(), move |tx| {
            let email = operations::request(tx, (&secret, limit), &caller, &request.new_email)?;
            ApiResponse::accepted(&EmailResponse::from(email))
        })
        .await?;
    Ok(response)
}

/// That a change took effect.
#[derive(Serialize, ToSchema)]
pub struct EmailConfirmedResponse {
    /// The login from now on.
    pub email: String,
}

/// Prove the new address
///
/// Uses up the link mailed to the new address.
#[utoipa::path(
    operation_id = "confirmEmailChange", tag = "Email", request_body = MailedTokenRequest,
    responses((status = 200, description = "The new address is the login", body = EmailConfirmedResponse)),
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

/// Ask for another link
///
/// To the new address; the earlier link dies.
#[utoipa::path(
    operation_id = "resendEmailChange", tag = "Email", security(("session" = [])),
    responses((status = 202, description = "A mail is on its way", body = EmailResponse)),
)]
#[post("/email/resend")]
async fn resend_email_change(
    caller: Caller<Session>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    input.none().await?;
    let (secret, limit) = (state.secret.clone(), state.mail_limit);
    let response = idempotent
        .transaction(&state.db, caller.now(), move |tx| {
            ApiResponse::accepted(&EmailResponse::from(operations::resend(tx, (&secret, limit), &caller)?))
        })
        .await?;
    Ok(response)
}

/// Take a change back
#[utoipa::path(
    operation_id = "deletePendingEmailChange", tag = "Email", security(("session" = [])),
    responses((status = 204, description = "No change waits any more")),
)]
#[delete("/email/pending")]
async fn delete_pending_email_change(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    state
        .db
        .transaction(caller.now(), move |tx| operations::cancel(tx, &caller))
        .await?;
    Ok(ApiResponse::no_content())
}

/// Stop or undo a change
///
/// With the link mailed to the old address: stops a change that waits; for seven days undoes one that took effect, voids
/// the password until it is reset by mail, ends every session and disables the API keys made since the request.
#[utoipa::path(
    operation_id = "revertEmailChange", tag = "Email", request_body = MailedTokenRequest,
    responses((status = 204, description = "The old address is the login")),
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
