//! `/password`.

use actix_web::{get, post, put, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::operations;
use crate::account::AcceptedResponse;
use crate::auth::{Caller, Password, PasswordRules, Session};
use crate::config::{Config, Feature};
use crate::error::{Error, Invalid};
use crate::http::{ApiResponse, RequestInput};
use crate::request_type;
use crate::secret::Token;
use crate::state::State;
use crate::users::Username;
use crate::values::{BoundedText, Client, EmailAddress};

pub fn router(routes: &mut ServiceConfig, config: &Config) {
    routes
        .service(get_password_policy)
        .service(check_password)
        .service(change_password);
    if config.is_enabled(Feature::PasswordReset) {
        routes.service(forget_password).service(reset_password);
    }
}

/// The password policy of this deployment.
#[derive(Serialize, ToSchema)]
#[schema(as = PasswordPolicy)]
pub struct PasswordPolicyResponse {
    /// Minimum number of characters (code points after NFKC normalisation).
    pub min_length: usize,
    /// Maximum number of characters.
    pub max_length: usize,
    /// Minimum zxcvbn score, 0 to 4. Names and addresses of the user and the name of the service lower the score.
    pub min_strength: u8,
    /// Classes of which a password must contain a character each: `lower`, `upper`, `digit`, `symbol`.
    pub required_classes: Vec<&'static str>,
}

/// Get the password policy
///
/// Returns the rules that a new password must satisfy.
#[utoipa::path(
    operation_id = "getPasswordPolicy", tag = "Password",
    responses((status = 200, description = "The password policy", body = PasswordPolicyResponse)),
)]
#[get("/password/policy")]
async fn get_password_policy(input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    input.none().await?;
    let PasswordRules {
        min_length,
        max_length,
        min_strength,
        required_classes,
    } = state.policy.rules();
    ApiResponse::ok(&PasswordPolicyResponse {
        min_length: *min_length,
        max_length: *max_length,
        min_strength: *min_strength,
        required_classes: required_classes.iter().map(|class| class.as_str()).collect(),
    })
}

request_type! {
    /// The password to check.
    #[derive(ToSchema)]
    pub struct CheckPasswordRequest {
        /// Password to check.
        pub password: Password,
        /// E-mail address of its user, which it must not contain. It need not be complete yet.
        #[schema(nullable = false, value_type = Option<String>, max_length = 254)]
        pub email: Option<BoundedText<{ EmailAddress::MAX }>>,
        /// Username of its user, which it must not contain. It need not be complete yet.
        #[schema(nullable = false, value_type = Option<String>, max_length = 30)]
        pub username: Option<BoundedText<{ Username::MAX }>>,
    }
}

/// How a password compares with the policy.
#[derive(Serialize, ToSchema)]
#[schema(as = PasswordCheck)]
pub struct PasswordCheckResponse {
    /// Whether the policy accepts the password.
    pub acceptable: bool,
    /// zxcvbn score, 0 to 4.
    pub strength: u8,
    /// Violations of the policy.
    pub problems: Vec<PasswordProblemResponse>,
}

/// A violation of the password policy.
#[derive(Serialize, ToSchema)]
#[schema(as = PasswordProblem)]
pub struct PasswordProblemResponse {
    /// Code of the violation, as in `errors` of a `validation_error`.
    pub code: &'static str,
    /// Description of the violation.
    pub detail: String,
}

impl From<Invalid> for PasswordProblemResponse {
    fn from(problem: Invalid) -> Self {
        Self {
            code: problem.code.as_str(),
            detail: problem.detail.into_owned(),
        }
    }
}

/// Check a password against the policy
///
/// Returns the strength of the password and its violations of the policy. Nothing is stored. Only the beginning of a long
/// password is judged: 100 characters, or 32 and those up to the eighth different digit or symbol that can stand for a letter.
/// While too many passwords are judged, the response is 503.
#[utoipa::path(
    operation_id = "checkPassword", tag = "Password", request_body = CheckPasswordRequest,
    responses((status = 200, description = "The result of the check", body = PasswordCheckResponse)),
)]
#[post("/password/check")]
async fn check_password(client: Client, input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    state.rate_limit.check(client.ip)?;
    let request: CheckPasswordRequest = input.json().await?;
    let personal_words = [
        request.email.as_ref().map(BoundedText::as_str),
        request.username.as_ref().map(BoundedText::as_str),
    ];
    let personal_words: Vec<&str> = personal_words.into_iter().flatten().collect();
    let assessment = state.policy.assess(&request.password, &personal_words).await?;
    ApiResponse::ok(&PasswordCheckResponse {
        acceptable: assessment.problems.is_empty(),
        strength: assessment.strength,
        problems: assessment.problems.into_iter().map(Into::into).collect(),
    })
}

request_type! {
    /// The current and the new password.
    #[derive(ToSchema)]
    pub struct ChangePasswordRequest {
        /// Current password.
        pub current_password: Password,
        /// New password; see `GET /password/policy`.
        pub new_password: Password,
        /// New password again, if a form asks for it twice.
        #[schema(nullable = false)]
        #[expect(dead_code, reason = "operations compares it before the request is read")]
        pub confirm_password: Option<Password>,
    }
}

/// Change the password
///
/// Ends every other session of the caller, invalidates pending password resets and cancels a pending change of e-mail
/// address. API keys keep working; delete a leaked key instead. Always needs the current password.
#[utoipa::path(
    operation_id = "changePassword", tag = "Password", security(("session" = [])), request_body = ChangePasswordRequest,
    responses((status = 204, description = "The password is changed")),
)]
#[put("/password")]
async fn change_password(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let mut fields = input.fields().await?;
    fields.add_errors(operations::change_errors(&state, &caller, &fields).await?);
    let request: ChangePasswordRequest = fields.read()?;
    operations::change(&state, caller, request.current_password, request.new_password).await?;
    Ok(ApiResponse::no_content())
}

request_type! {
    /// The account whose password to reset.
    #[derive(ToSchema)]
    pub struct ForgetPasswordRequest {
        /// E-mail address of the account.
        pub email: EmailAddress,
    }
}

/// Request a password reset
///
/// Mails a link to reset the password, which is valid for 60 minutes; earlier links remain valid. An address gets at most 5
/// links an hour for requests from one network, and 15 in all. One network can request 100 e-mails an hour and 300 a day, to
/// any addresses and also of registrations; then the response is 429. The response is the same for an address without an account.
#[utoipa::path(
    operation_id = "forgetPassword", tag = "Password", request_body = ForgetPasswordRequest,
    responses((status = 202, description = "The request was accepted", body = AcceptedResponse)),
)]
#[post("/password/forgot")]
async fn forget_password(client: Client, input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    state.rate_limit.check(client.ip)?;
    let request: ForgetPasswordRequest = input.json().await?;
    let secret = state.secret.clone();
    state
        .db
        .transaction(client.now, move |tx| {
            operations::request_reset(tx, &secret, &client, &request.email)
        })
        .await?;
    AcceptedResponse::respond()
}

request_type! {
    /// The token of the mailed link and the new password.
    #[derive(ToSchema)]
    pub struct ResetPasswordRequest {
        /// The part of the link after `#token=`.
        pub token: String,
        /// New password; see `GET /password/policy`.
        pub new_password: Password,
        /// New password again, if a form asks for it twice.
        #[schema(nullable = false)]
        #[expect(dead_code, reason = "operations compares it before the request is read")]
        pub confirm_password: Option<Password>,
    }
}

/// Reset the password
///
/// Uses the token of the mailed link. Every session ends; API keys keep working. The reset also verifies an e-mail address
/// that was not verified yet.
#[utoipa::path(
    operation_id = "resetPassword", tag = "Password", request_body = ResetPasswordRequest,
    responses((status = 204, description = "The password is changed")),
)]
#[post("/password/reset")]
async fn reset_password(client: Client, input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    let mut fields = input.fields().await?;
    fields.add_errors(operations::reset_errors(&state, &client, &fields).await?);
    let request: ResetPasswordRequest = fields.read()?;
    operations::reset(&state, client, Token::new(request.token), request.new_password).await?;
    Ok(ApiResponse::no_content())
}
