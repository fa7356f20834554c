//! `/me` and `/usernames`.

use actix_web::{get, patch, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::avatar;
use super::model::Profile;
use super::operations::{self, ProfilePatch};
use crate::auth::{Caller, MeRead, MeWrite, PlatformRole, Session};
use crate::config::{Config, Feature};
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::images;
use crate::orgs::membership::OrgSummary;
use crate::request_type;
use crate::state::State;
use crate::users::{Nickname, TimeZone, Username};
use crate::values::ids::UserId;
use crate::values::locale::Locale;
use crate::values::{Patch, Precondition, Timestamp};

pub fn router(routes: &mut ServiceConfig, config: &Config) {
    routes
        .service(get_me)
        .service(update_me)
        .service(get_username_availability);
    if config.is_enabled(Feature::Avatars) {
        routes.service(avatar::put_avatar).service(avatar::delete_avatar);
    }
}

/// The account of the caller.
#[derive(Serialize, ToSchema)]
#[schema(as = Me)]
pub struct MeResponse {
    /// Id of the account.
    pub id: UserId,
    /// E-mail address; `POST /email` changes it.
    pub email: String,
    /// Whether the e-mail address is verified.
    pub email_verified: bool,
    /// New address of a pending change of e-mail address.
    pub pending_email: Option<String>,
    /// Unique name; null until the first `PATCH /me` sets it.
    pub username: Option<String>,
    /// Display name.
    pub nickname: Option<String>,
    /// URL of the avatar.
    pub avatar_url: Option<String>,
    /// Role on the platform.
    pub role: PlatformRole,
    /// Language of e-mails and notifications.
    pub locale: Locale,
    /// Name of the time zone in the IANA database.
    pub time_zone: String,
    /// Whether username and nickname are set. If not, a frontend shows the profile page.
    pub profile_complete: bool,
    /// Organisation in which the session or API key acts.
    pub org: Option<OrgSummary>,
    /// Number of unread notifications.
    pub unread_notifications: i64,
    /// Time at which the account was created.
    pub created_at: Timestamp,
    /// Time of the last change of the profile.
    pub updated_at: Timestamp,
    /// Time of the last login.
    pub last_login_at: Option<Timestamp>,
}

impl MeResponse {
    fn new(profile: Profile, state: &State) -> Self {
        let Profile {
            user,
            pending_email,
            active_org,
            unread_notifications,
        } = profile;
        Self {
            id: user.id,
            email_verified: user.email_verified_at.is_some(),
            pending_email,
            avatar_url: user.avatar_id.map(|id| images::url(&state.config, id)),
            role: user.role,
            locale: user.locale,
            profile_complete: user.profile_complete(),
            org: active_org,
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
}

fn respond(profile: Profile, state: &State) -> Result<ApiResponse, Error> {
    let version = profile.user.version;
    Ok(ApiResponse::ok(&MeResponse::new(profile, state))?.etag(version))
}

/// Get the profile
///
/// Returns the account of the caller. The `ETag` changes with the fields that `PATCH /me` can change.
#[utoipa::path(
    operation_id = "getMe", tag = "Profile", security(("session" = []), ("api_key" = ["me:read"])),
    responses((status = 200, description = "The account of the caller", body = MeResponse)),
)]
#[get("/me")]
async fn get_me(caller: Caller<MeRead>, input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    input.none().await?;
    let profile = state
        .db
        .read(caller.now(), move |tx| operations::find(tx, &caller))
        .await?;
    respond(profile, &state)
}

request_type! {
    /// The profile fields to change. Absent fields keep their value.
    #[derive(ToSchema)]
    pub struct UpdateMeRequest {
        /// Unique name. Capital letters become lower case.
        #[schema(value_type = Username, required = false)]
        pub username: Patch<Username>,
        /// Display name; null removes it.
        #[schema(value_type = Option<Nickname>, required = false)]
        pub nickname: Patch<Option<Nickname>>,
        /// Language of e-mails and notifications.
        #[schema(value_type = Locale, required = false)]
        pub locale: Patch<Locale>,
        /// Name of a time zone in the IANA database.
        #[schema(value_type = TimeZone, required = false)]
        pub time_zone: Patch<TimeZone>,
    }
}

/// Update the profile
///
/// Changes the fields in the body (JSON merge patch) and returns the whole profile. A username that is given up stays
/// reserved for the caller for 30 days.
#[utoipa::path(
    operation_id = "updateMe", tag = "Profile", security(("session" = []), ("api_key" = ["me:write"])),
    request_body = UpdateMeRequest,
    responses((status = 200, description = "The updated account", body = MeResponse)),
)]
#[patch("/me")]
async fn update_me(
    caller: Caller<MeWrite>,
    precondition: Precondition,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let request: UpdateMeRequest = input.merge_patch().await?;
    let patch = ProfilePatch {
        username: request.username,
        nickname: request.nickname,
        locale: request.locale,
        time_zone: request.time_zone,
    };
    let profile = caller
        .transaction(&state, move |tx, caller| {
            operations::update(tx, caller, &precondition, patch.clone())
        })
        .await?;
    respond(profile, &state)
}

/// Whether a username is available.
#[derive(Serialize, ToSchema)]
pub struct UsernameAvailabilityResponse {
    /// Whether the caller could take the username now.
    pub available: bool,
}

/// Check username availability
///
/// Returns whether the caller could take the username now. Taken, reserved and malformed names are not available.
#[utoipa::path(
    operation_id = "getUsernameAvailability", tag = "Profile", security(("session" = [])),
    params(("username" = String, Path, description = "Username to check")),
    responses((status = 200, description = "Whether the username is available", body = UsernameAvailabilityResponse)),
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
