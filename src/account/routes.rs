//! `/auth/register`, `/auth/verify-email`, `/me`, `/usernames`.

use actix_web::{get, patch, post, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::avatar;
use super::model::Profile;
use super::operations::{self, ProfileChanges, Registrant};
use crate::auth::{Caller, MeRead, MeWrite, Password, PlatformRole, Session};
use crate::config::{Config, Feature, Registration};
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::images;
use crate::orgs::membership::OrgSummary;
use crate::request_type;
use crate::secret::Token;
use crate::state::State;
use crate::users::{Nickname, TimeZone, Username};
use crate::values::EmailAddress;
use crate::values::ids::UserId;
use crate::values::locale::Locale;
use crate::values::{Client, Precondition};
use crate::values::{Patch, Timestamp};

/// The routes of this slice.
pub fn router(routes: &mut ServiceConfig, config: &Config) {
    routes
        .service(register)
        .service(resend_verification)
        .service(verify_email)
        .service(get_me)
        .service(update_me)
        .service(get_username_availability);
    if config.is_enabled(Feature::Avatars) {
        routes.service(avatar::put_avatar).service(avatar::delete_avatar);
    }
}

/// That a request was taken; the same whatever comes of it.
#[derive(Serialize, ToSchema)]
pub struct AcceptedResponse {
    /// Always `accepted`.
    #[schema(example = "accepted")]
    pub status: &'static str,
}

impl AcceptedResponse {
    /// The one answer.
    pub fn answer() -> Result<ApiResponse, Error> {
        ApiResponse::accepted(&Self { status: "accepted" })
    }
}

request_type! {
    /// Who wants an account.
    #[derive(ToSchema)]
    pub struct RegisterRequest {
        /// An address of theirs; a link goes there.
        pub email: EmailAddress,
        /// See `GET /password/policy`.
        pub password: Password,
        /// What they like to be called.
        #[schema(nullable = false)]
        pub nickname: Option<Nickname>,
        /// The language to write to them in.
        #[schema(nullable = false)]
        pub locale: Option<Locale>,
    }
}

/// Sign up
///
/// The answer is the same for an address that has an account: its owner gets a mail instead of a link.
#[utoipa::path(
    operation_id = "registerUser", tag = "Sessions", request_body = RegisterRequest,
    responses((status = 202, description = "A mail is on its way", body = AcceptedResponse)),
)]
#[post("/auth/register")]
async fn register(client: Client, input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    if state.config.registration == Registration::Closed {
        return Err(Error::not_found());
    }
    state.rate_limit.check(client.ip)?;
    let request: RegisterRequest = input.json().await?;
    let personal = [
        Some(request.email.as_str()),
        request.nickname.as_ref().map(Nickname::as_str),
    ];
    let personal: Vec<&str> = personal.into_iter().flatten().collect();
    state.policy.require(&request.password, &personal, "#/password")?;
    let registrant = Registrant {
        email: request.email,
        password_hash: state.hasher.hash(request.password).await?,
        nickname: request.nickname,
        locale: request.locale.unwrap_or_default(),
    };
    let (secret, limit) = (state.secret.clone(), state.mail_limit);
    state
        .db
        .transaction(client.now, move |tx| {
            operations::register(tx, (&secret, limit), &client, &registrant)
        })
        .await?;
    AcceptedResponse::answer()
}

request_type! {
    /// An address.
    #[derive(ToSchema)]
    pub struct ResendVerificationRequest {
        /// The one signed up with.
        pub email: EmailAddress,
    }
}

/// Ask for another link
///
/// For a sign-up whose link was lost or has expired; the earlier link dies.
#[utoipa::path(
    operation_id = "resendVerification", tag = "Sessions", request_body = ResendVerificationRequest,
    responses((status = 202, description = "The same for every address", body = AcceptedResponse)),
)]
#[post("/auth/register/resend")]
async fn resend_verification(
    client: Client,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    if state.config.registration == Registration::Closed {
        return Err(Error::not_found());
    }
    state.rate_limit.check(client.ip)?;
    let request: ResendVerificationRequest = input.json().await?;
    let (secret, limit) = (state.secret.clone(), state.mail_limit);
    state
        .db
        .transaction(client.now, move |tx| {
            operations::resend(tx, (&secret, limit), &client, &request.email)
        })
        .await?;
    AcceptedResponse::answer()
}

request_type! {
    /// The token of a mailed link.
    #[derive(ToSchema)]
    pub struct MailedTokenRequest {
        /// What stands behind `#token=` in the link.
        pub token: String,
    }
}

/// Prove an address
///
/// Uses the mailed link up; from then on the account can log in with the password of that sign-up.
#[utoipa::path(
    operation_id = "verifyEmail", tag = "Sessions", request_body = MailedTokenRequest,
    responses((status = 204, description = "The account can log in")),
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

/// The person who calls.
#[derive(Serialize, ToSchema)]
#[schema(as = Me)]
pub struct MeResponse {
    /// The person.
    pub id: UserId,
    /// Their address; see `/email` for how to change it.
    pub email: String,
    /// Whether the address is proven.
    pub email_verified: bool,
    /// The address that waits for confirmation.
    pub pending_email: Option<String>,
    /// Their unique name.
    pub username: Option<String>,
    /// What they like to be called.
    pub nickname: Option<String>,
    /// Their picture.
    pub avatar_url: Option<String>,
    /// Their role on the platform.
    pub role: PlatformRole,
    /// The language to write to them in.
    pub locale: Locale,
    /// Their time zone, an IANA name.
    pub time_zone: String,
    /// Whether username and nickname are set; if not, a frontend opens the profile page.
    pub profile_complete: bool,
    /// Where the credential acts.
    pub org: Option<OrgSummary>,
    /// How many notifications they have not read.
    pub unread_notifications: i64,
    /// When the account came to be.
    pub created_at: Timestamp,
    /// When the profile was last changed.
    pub updated_at: Timestamp,
    /// When they last logged in.
    pub last_login_at: Option<Timestamp>,
}

impl MeResponse {
    fn new(profile: Profile, state: &State) -> Self {
        let Profile {
            user,
            pending_email,
            org,
            unread_notifications,
        } = profile;
        Self {
            id: user.id,
            email_verified: user.email_verified_at.is_some(),
            pending_email,
            avatar_url: user.avatar_id.map(|id| images::url(&state.config, id)),
            role: user.role(),
            locale: user.locale(),
            profile_complete: user.profile_complete(),
            org,
            unread_notifications,
            created_at: user.created_at.into(),
            updated_at: user.updated_at.into(),
            last_login_at: user.last_login_at.map(Timestamp),
            email: user.email,
            username: user.username,
            nickname: user.nickname,
            time_zone: user.time_zone,
        }
    }

    fn answer(profile: Profile, state: &State) -> Result<ApiResponse, Error> {
        let version = profile.user.version;
        Ok(ApiResponse::ok(&Self::new(profile, state))?.etag(version))
    }
}

/// Who am I
#[utoipa::path(
    operation_id = "getMe", tag = "Profile", security(("session" = []), ("api_key" = ["me:read"])),
    responses((status = 200, description = "The person who calls", body = MeResponse)),
)]
#[get("/me")]
async fn get_me(caller: Caller<MeRead>, input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    input.none().await?;
    let profile = state
        .db
        .read(caller.now(), move |tx| operations::profile(tx, &caller))
        .await?;
    MeResponse::answer(profile, &state)
}

request_type! {
    /// What to change of the profile; what is absent stays.
    #[derive(ToSchema)]
    pub struct UpdateMeRequest {
        /// A unique name: lower case is made of it.
        #[schema(value_type = Username, required = false)]
        pub username: Patch<Username>,
        /// What they like to be called; null for nothing.
        #[schema(value_type = Option<Nickname>, required = false)]
        pub nickname: Patch<Option<Nickname>>,
        /// The language to write to them in.
        #[schema(value_type = Locale, required = false)]
        pub locale: Patch<Locale>,
        /// An IANA name.
        #[schema(value_type = TimeZone, required = false)]
        pub time_zone: Patch<TimeZone>,
    }
}

/// Change the profile
///
/// A merge patch. A name that is given up stays reserved for 30 days.
#[utoipa::path(
    operation_id = "updateMe", tag = "Profile", security(("session" = []), ("api_key" = ["me:write"])),
    request_body = UpdateMeRequest,
    responses((status = 200, description = "The person as they are now", body = MeResponse)),
)]
#[patch("/me")]
async fn update_me(
    caller: Caller<MeWrite>,
    precondition: Precondition,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let request: UpdateMeRequest = input.merge_patch().await?;
    let UpdateMeRequest {
        username,
        nickname,
        locale,
        time_zone,
    } = request;
    let changes = ProfileChanges {
        username,
        nickname,
        locale,
        time_zone,
    };
    let profile = state
        .db
        .transaction(caller.now(), move |tx| {
            operations::update_profile(tx, &caller, &precondition, changes)
        })
        .await?;
    MeResponse::answer(profile, &state)
}

/// Whether a name can be had.
#[derive(Serialize, ToSchema)]
pub struct UsernameAvailabilityResponse {
    /// Whether the caller could take it now.
    pub available: bool,
}

/// Is a name free
#[utoipa::path(
    operation_id = "getUsernameAvailability", tag = "Profile", security(("session" = [])),
    params(("username" = String, Path, description = "A name; one that is malformed is not available")),
    responses((status = 200, description = "Whether the caller could take it", body = UsernameAvailabilityResponse)),
)]
#[get("/usernames/{username}")]
async fn get_username_availability(
    caller: Caller<Session>,
    name: web::Path<String>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    let available = match Username::try_from(name.into_inner()) {
        Err(_) => false,
        Ok(username) => {
            let (now, user_id) = (caller.now(), caller.user_id);
            state
                .db
                .read(now, move |tx| operations::is_username_available(tx, user_id, &username))
                .await?
        }
    };
    ApiResponse::ok(&UsernameAvailabilityResponse { available })
}
