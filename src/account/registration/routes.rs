//! `/auth/register` and `/auth/verify-email`.

use actix_web::{post, web};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::operations::{self, NewRegistration, PasswordChoice};
use crate::account::AcceptedResponse;
use crate::auth::Password;
use crate::config::Registration;
use crate::error::{Error, FieldCode, Invalid};
use crate::http::{ApiResponse, RequestInput};
use crate::request_type;
use crate::secret::Token;
use crate::state::State;
use crate::users::Nickname;
use crate::values::locale::Locale;
use crate::values::{Client, EmailAddress, Fields, FromFields as _};

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
/// the address already has an account, the response is the same, and its owner gets an e-mail without a link instead. An
/// address can be registered again before it is verified; each registration has its own password and link. A link works for
/// 24 hours from when it was last mailed. At most one verification e-mail is sent to an address in 5 minutes and 10 in a
/// day, regardless of the client: use a link that is already in the mailbox, with a new password if needed, or request another
/// later (`POST /auth/register/resend`). If registration is closed, the response is 404.
#[utoipa::path(
    operation_id = "registerUser", tag = "Sessions", request_body = RegisterRequest,
    responses((status = 202, description = "The request was accepted", body = AcceptedResponse)),
)]
#[post("/auth/register")]
async fn register(client: Client, input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    require_open(&state)?;
    state.rate_limit.check(client.ip)?;
    let mut fields = input.fields().await?;
    fields.add_errors(operations::password_errors(&state, &fields).await?);
    let request: RegisterRequest = fields.read()?;
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
/// Mails a new link for a registration of the address: the one that an operator made, or else the newest. The previous link
/// of this registration stops working. At most one verification e-mail is sent to an address in 5 minutes and 10 in a day,
/// regardless of the client. The response is the same for an address without a registration.
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
    let secret = state.secret.clone();
    state
        .db
        .transaction(client.now, move |tx| {
            operations::resend(tx, &secret, &client, &request.email)
        })
        .await?;
    AcceptedResponse::respond()
}

request_type! {
    /// The token of the mailed link, and either the password of the registration or a new one.
    #[derive(ToSchema)]
    pub struct VerifyEmailRequest {
        /// The part of the link after `#token=`.
        pub token: String,
        /// Password with which the address was registered.
        #[schema(nullable = false)]
        pub password: Option<Password>,
        /// New password, instead of that of the registration; see `GET /password/policy`.
        #[schema(nullable = false)]
        pub new_password: Option<Password>,
    }
}

/// The token and the password, of which the request must contain exactly one.
fn read_verification(mut fields: Fields) -> Result<(Token, PasswordChoice), Error> {
    let (has_password, has_new) = (fields.has("password"), fields.has("new_password"));
    let request = VerifyEmailRequest::from_fields(&mut fields);
    if has_password && has_new {
        let detail = "Send either the password of the registration or a new one.";
        fields.add_error("new_password", Invalid::new(FieldCode::NotAllowed, detail));
    } else if !has_password && !has_new {
        let detail = "The password of the registration is required, or a new_password.";
        fields.add_error("password", Invalid::new(FieldCode::Required, detail));
    }
    let choice = request.and_then(|request| {
        let registered = request.password.map(PasswordChoice::Registered);
        let choice = registered.or(request.new_password.map(PasswordChoice::New))?;
        Some((Token::new(request.token), choice))
    });
    fields.finish(choice)
}

/// Verify an e-mail address
///
/// Uses the token of the link that `POST /auth/register` mailed. The link proves who reads the mailbox, not who chose the
/// password of the registration, because anyone can register any address. The request therefore contains either this
/// password, or a `new_password` that replaces it. A wrong password is 422 and counts as a failed log-in attempt; the link
/// remains valid. The account can then log in, and all other registrations of the address are deleted. An account that an
/// operator created keeps its role only if the link is the one that was mailed for the operator.
#[utoipa::path(
    operation_id = "verifyEmail", tag = "Sessions", request_body = VerifyEmailRequest,
    responses((status = 204, description = "The e-mail address is verified")),
)]
#[post("/auth/verify-email")]
async fn verify_email(client: Client, input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    let mut fields = input.fields().await?;
    fields.add_errors(operations::new_password_errors(&state, &client, &fields).await?);
    let (token, choice) = read_verification(fields)?;
    operations::verify_email(&state, client, token, choice).await?;
    Ok(ApiResponse::no_content())
}
