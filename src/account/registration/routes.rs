//! `/auth/register` and `/auth/verify-email`.

use actix_web::{post, web};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::operations::{self, NewRegistration};
use crate::account::{AcceptedResponse, MailedTokenRequest};
use crate::auth::Password;
use crate::config::Registration;
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::request_type;
use crate::secret::Token;
use crate::state::State;
use crate::users::Nickname;
use crate::values::locale::Locale;
use crate::values::{Client, EmailAddress};

pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(register)
        .service(resend_verification)
        .service(verify_email);
}

/// # Errors
/// `not_found` while registration is closed.
fn require_open(state: &State) -> Result<(), Error> {
    match state.config.registration {
        Registration::Open => Ok(()),
        Registration::Closed => Err(Error::not_found()),
    }
}

request_type! {
    /// The account to register.
    #[derive(ToSchema)]
    pub struct RegisterRequest {
        /// E-mail address. The verification link is mailed to it.
        pub email: EmailAddress,
        /// Password of the account; see `GET /password/policy`.
        pub password: Password,
        /// Display name.
        #[schema(nullable = false)]
        pub nickname: Option<Nickname>,
        /// Language of e-mails and notifications; `en` if absent.
        #[schema(nullable = false)]
        pub locale: Option<Locale>,
    }
}

/// Register an account
///
/// Mails a verification link to the address; the account can log in once the link was used (`POST /auth/verify-email`). If
/// the address already has an account, the response is the same, and its owner gets an e-mail without a link instead. If
/// registration is closed, the response is 404.
#[utoipa::path(
    operation_id = "registerUser", tag = "Sessions", request_body = RegisterRequest,
    responses((status = 202, description = "The request was accepted", body = AcceptedResponse)),
)]
#[post("/auth/register")]
async fn register(client: Client, input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    require_open(&state)?;
    state.rate_limit.check(client.ip)?;
    let request: RegisterRequest = input.json().await?;
    let new = NewRegistration {
        email: request.email,
        password: request.password,
        nickname: request.nickname,
        locale: request.locale.unwrap_or_default(),
    };
    operations::register(&state, client, new).await?;
    AcceptedResponse::respond()
}

request_type! {
    /// The registration whose verification e-mail to resend.
    #[derive(ToSchema)]
    pub struct ResendVerificationRequest {
        /// E-mail address of the registration.
        pub email: EmailAddress,
    }
}

/// Resend the verification e-mail
///
/// Mails a new link for the newest registration of the address; the previous link stops working. The response is the same
/// for an address without a registration.
#[utoipa::path(
    operation_id = "resendVerification", tag = "Sessions", request_body = ResendVerificationRequest,
    responses((status = 202, description = "The request was accepted", body = AcceptedResponse)),
)]
#[post("/auth/register/resend")]
async fn resend_verification(
    client: Client,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    require_open(&state)?;
    state.rate_limit.check(client.ip)?;
    let request: ResendVerificationRequest = input.json().await?;
    let (secret, limit) = (state.secret.clone(), state.mail_limit);
    state
        .db
        .transaction(client.now, move |tx| {
            operations::resend(tx, &secret, limit, &client, &request.email)
        })
        .await?;
    AcceptedResponse::respond()
}

/// Verify an e-mail address
///
/// Uses the token of the link that `POST /auth/register` mailed. The account can then log in with the password of that
/// registration; all other registrations of the address are deleted.
#[utoipa::path(
    operation_id = "verifyEmail", tag = "Sessions", request_body = MailedTokenRequest,
    responses((status = 204, description = "The e-mail address is verified")),
)]
#[post("/auth/verify-email")]
async fn verify_email(client: Client, input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    let request: MailedTokenRequest = input.json().await?;
    let token = Token::new(request.token);
    state
        .db
        .transaction(client.now, move |tx| operations::verify_email(tx, &client, &token))
        .await?;
    Ok(ApiResponse::no_content())
}
