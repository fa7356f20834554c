//! `/password`.

use actix_web::{get, post, put, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::operations;
use crate::account::AcceptedResponse;
use crate::auth::{Caller, Password, PasswordPolicy, Session};
use crate::config::{Config, Feature};
use crate::error::{Code, Error, FieldCode, FieldError, Invalid};
use crate::http::{ApiResponse, RequestInput};
use crate::request_type;
use crate::secret::Token;
use crate::state::State;
use crate::users::{self, User};
use crate::values::Client;
use crate::values::EmailAddress;

/// The routes of this slice, as far as the deployment offers them.
pub fn router(routes: &mut ServiceConfig, config: &Config) {
    routes
        .service(get_password_policy)
        .service(check_password)
        .service(change_password);
    if config.is_enabled(Feature::PasswordReset) {
        routes.service(forget_password).service(reset_password);
    }
}

/// What a password must be.
#[derive(Serialize, ToSchema)]
#[schema(as = PasswordPolicy)]
pub struct PasswordPolicyResponse {
    /// Fewest characters (code points after NFKC).
    pub min_length: usize,
    /// Most characters.
    pub max_length: usize,
    /// Least strength by zxcvbn, 0 to 4; words of the person and of the service count for little.
    pub min_strength: u8,
    /// Each of these kinds of character must occur: `lower`, `upper`, `digit`, `symbol`.
    pub required_classes: Vec<&'static str>,
}

/// What must a password be
#[utoipa::path(
    operation_id = "getPasswordPolicy", tag = "Password",
    responses((status = 200, description = "The policy", body = PasswordPolicyResponse)),
)]
#[get("/password/policy")]
async fn get_password_policy(input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    input.none().await?;
    let PasswordPolicy {
        min_length,
        max_length,
        min_strength,
        required_classes,
    } = &state.policy;
    ApiResponse::ok(&PasswordPolicyResponse {
        min_length: *min_length,
        max_length: *max_length,
        min_strength: *min_strength,
        required_classes: required_classes.iter().map(|class| class.as_str()).collect(),
    })
}

request_type! {
    /// A password, and whose it is to be.
    #[derive(ToSchema)]
    pub struct CheckPasswordRequest {
        /// The password.
        pub password: Password,
        /// Their address.
        #[schema(nullable = false)]
        pub email: Option<String>,
        /// Their username.
        #[schema(nullable = false)]
        pub username: Option<String>,
    }
}

/// How good a password is.
#[derive(Serialize, ToSchema)]
#[schema(as = PasswordCheck)]
pub struct PasswordCheckResponse {
    /// Whether the policy takes it.
    pub acceptable: bool,
    /// Strength by zxcvbn, 0 to 4.
    pub strength: u8,
    /// What is wrong with it.
    pub problems: Vec<PasswordProblemResponse>,
}

/// One thing that is wrong with a password.
#[derive(Serialize, ToSchema)]
#[schema(as = PasswordProblem)]
pub struct PasswordProblemResponse {
    /// What software goes by.
    pub code: &'static str,
    /// One sentence for people.
    pub detail: String,
}

/// Is a password good enough
#[utoipa::path(
    operation_id = "checkPassword", tag = "Password", request_body = CheckPasswordRequest,
    responses((status = 200, description = "What the policy says of it", body = PasswordCheckResponse)),
)]
#[post("/password/check")]
async fn check_password(client: Client, input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    state.rate_limit.check(client.ip)?;
    let request: CheckPasswordRequest = input.json().await?;
    let personal: Vec<&str> = [&request.email, &request.username]
        .into_iter()
        .filter_map(Option::as_deref)
        .collect();
    let (strength, problems) = state.policy.judge(&request.password, &personal);
    let problem = |problem: Invalid| PasswordProblemResponse {
        code: problem.code.as_str(),
        detail: problem.detail.into_owned(),
    };
    ApiResponse::ok(&PasswordCheckResponse {
        acceptable: problems.is_empty(),
        strength,
        problems: problems.into_iter().map(problem).collect(),
    })
}

request_type! {
    /// The present password and the new one.
    #[derive(ToSchema)]
    pub struct ChangePasswordRequest {
        /// The present one.
        pub current_password: Password,
        /// The new one; see `GET /password/policy`.
        pub new_password: Password,
        /// The new one once more, where a form asks for it twice.
        #[schema(nullable = false)]
        pub confirm_password: Option<Password>,
    }
}

/// Everything that is wrong with a new password.
fn faults(policy: &PasswordPolicy, new: &Password, repeated: Option<&Password>, personal: &[&str]) -> Vec<FieldError> {
    let (_, problems) = policy.judge(new, personal);
    let mut faults: Vec<FieldError> = problems
        .into_iter()
        .map(|problem| problem.at("#/new_password"))
        .collect();
    if repeated.is_some_and(|repeated| repeated.expose() != new.expose()) {
        faults.push(Invalid::new(FieldCode::Mismatch, "The two passwords differ.").at("#/confirm_password"));
    }
    faults
}

/// Change the password
///
/// Every other session ends, as do pending resets and changes of address. API keys keep working: the answer to a leaked
/// key is to delete it.
#[utoipa::path(
    operation_id = "changePassword", tag = "Password", security(("session" = [])), request_body = ChangePasswordRequest,
    responses((status = 204, description = "The new password is in force")),
)]
#[put("/password")]
async fn change_password(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let request: ChangePasswordRequest = input.json().await?;
    let user_id = caller.user_id;
    let personal = state
        .db
        .read(caller.now(), move |tx| operations::personal_words(tx, user_id))
        .await?;
    let personal: Vec<&str> = personal.iter().map(String::as_str).collect();
    let mut faults = faults(
        &state.policy,
        &request.new_password,
        request.confirm_password.as_ref(),
        &personal,
    );
    if request.new_password.expose() == request.current_password.expose() {
        faults.push(Invalid::new(FieldCode::SameAsCurrent, "This is the present password.").at("#/new_password"));
    }
    if !faults.is_empty() {
        return Err(Error::validation(faults));
    }
    let seen = users::check_password(&state, &caller, request.current_password, "#/current_password").await?;
    let new_hash = state.hasher.hash(request.new_password).await?;
    let session_id = caller.session_id()?;
    state
        .db
        .transaction(caller.now(), move |tx| {
            operations::change(tx, &caller, session_id, &seen, &new_hash)
        })
        .await?;
    Ok(ApiResponse::no_content())
}

request_type! {
    /// Whose password was forgotten.
    #[derive(ToSchema)]
    pub struct ForgetPasswordRequest {
        /// Their address.
        pub email: EmailAddress,
    }
}

/// Ask for a link to set the password anew
#[utoipa::path(
    operation_id = "forgetPassword", tag = "Password", request_body = ForgetPasswordRequest,
    responses((status = 202, description = "The same for every address", body = AcceptedResponse)),
)]
#[post("/password/forgot")]
async fn forget_password(client: Client, input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    state.rate_limit.check(client.ip)?;
    let request: ForgetPasswordRequest = input.json().await?;
    let (secret, limit) = (state.secret.clone(), state.mail_limit);
    state
        .db
        .transaction(client.now, move |tx| {
            operations::forget(tx, (&secret, limit), &client, &request.email)
        })
        .await?;
    AcceptedResponse::answer()
}

request_type! {
    /// A mailed link and a new password.
    #[derive(ToSchema)]
    pub struct ResetPasswordRequest {
        /// What stands behind `#token=` in the link.
        pub token: String,
        /// The new password; see `GET /password/policy`.
        pub new_password: Password,
        /// The new one once more, where a form asks for it twice.
        #[schema(nullable = false)]
        pub confirm_password: Option<Password>,
    }
}

/// Set the password anew
///
/// Uses up the mailed link. Every session ends; API keys keep working. It also proves an address that was not proven yet.
#[utoipa::path(
    operation_id = "resetPassword", tag = "Password", request_body = ResetPasswordRequest,
    responses((status = 204, description = "The new password is in force")),
)]
#[post("/password/reset")]
async fn reset_password(client: Client, input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    let request: ResetPasswordRequest = input.json().await?;
    let token = Token::new(request.token);
    let (now, looked_up) = (client.now, token.clone());
    let user = state
        .db
        .read(now, move |tx| operations::owner_of(tx, &looked_up))
        .await?;
    let personal = user.as_ref().map(User::personal_words).unwrap_or_default();
    let faults = faults(
        &state.policy,
        &request.new_password,
        request.confirm_password.as_ref(),
        &personal,
    );
    if !faults.is_empty() {
        return Err(Error::validation(faults));
    }
    // Hashing is work: not for a link that does not work.
    if user.is_none() {
        return Err(Error::new(Code::LinkExpiredOrUsed));
    }
    let new_hash = state.hasher.hash(request.new_password).await?;
    let (secret, throttle) = (state.secret.clone(), state.throttle);
    state
        .db
        .transaction(now, move |tx| {
            operations::reset(tx, (&secret, throttle), &client, &token, &new_hash)
        })
        .await?;
    Ok(ApiResponse::no_content())
}
