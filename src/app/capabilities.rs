//! `/capabilities`: which features are switched on, so that a frontend can hide the others.

use actix_web::{get, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::{Config, Feature, Registration};
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::state::State;
use crate::values::locale::Locale;

/// The features of this deployment. The paths of a feature that is switched off return 404.
#[derive(Serialize, ToSchema)]
#[schema(as = Capabilities)]
#[expect(clippy::struct_excessive_bools, reason = "one field per feature")]
pub struct CapabilitiesResponse {
    /// Whether new accounts can be registered: `open` or `closed`.
    pub registration: &'static str,
    /// Whether API keys (`/api-keys`) are available.
    pub api_keys: bool,
    /// Whether organisations (`/orgs`, `/invitations`, `/join-requests`) are available.
    pub organisations: bool,
    /// Whether a forgotten password can be reset by e-mail (`/password/forgot`, `/password/reset`).
    pub password_reset: bool,
    /// Whether users can upload an avatar (`/me/avatar`).
    pub avatars: bool,
    /// Available languages of e-mails and notifications.
    pub locales: Vec<Locale>,
    /// Sender of all e-mails.
    pub mail_from: String,
    /// Prefix of every API key, before the underscore.
    pub api_key_prefix: String,
    /// Lifetime of an access token, in seconds.
    pub access_token_seconds: u32,
}

impl CapabilitiesResponse {
    fn of(config: &Config) -> Self {
        Self {
            registration: match config.registration {
                Registration::Open => "open",
                Registration::Closed => "closed",
            },
            api_keys: config.is_enabled(Feature::ApiKeys),
            organisations: config.is_enabled(Feature::Organisations),
            password_reset: config.is_enabled(Feature::PasswordReset),
            avatars: config.is_enabled(Feature::Avatars),
            locales: Locale::ALL.to_vec(),
            mail_from: config.mail_from.to_string(),
            api_key_prefix: config.key_prefix.clone(),
            access_token_seconds: config.access_token_seconds,
        }
    }
}

/// List capabilities
///
/// Returns which features this deployment offers. Needs no credential.
#[utoipa::path(
    operation_id = "getCapabilities", tag = "Operations",
    responses((status = 200, description = "The capabilities", body = CapabilitiesResponse)),
)]
#[get("/capabilities")]
pub(super) async fn get_capabilities(input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    input.none().await?;
    ApiResponse::ok(&CapabilitiesResponse::of(&state.config))
}
