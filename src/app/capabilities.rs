//! `/capabilities`: what this deployment offers, so that a frontend shows only what works.

use actix_web::{get, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::{Config, Feature, Registration};
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::state::State;
use crate::values::locale::Locale;

/// What a deployment offers; what is switched off answers 404.
#[derive(Serialize, ToSchema)]
#[schema(as = Capabilities)]
#[expect(clippy::struct_excessive_bools, reason = "each says whether one thing is offered")]
pub struct CapabilitiesResponse {
    /// `open` or `closed`.
    pub registration: &'static str,
    /// `/api-keys`.
    pub api_keys: bool,
    /// `/orgs`, `/invitations`, `/join-requests`.
    pub organisations: bool,
    /// `/password/forgot`, `/password/reset`.
    pub password_reset: bool,
    /// `/me/avatar`.
    pub avatars: bool,
    /// Languages of mails and notifications.
    pub locales: Vec<Locale>,
    /// Whom mails come from.
    pub mail_from: String,
    /// What API keys begin with, before the underscore.
    pub api_key_prefix: String,
    /// How long an access token is good, in seconds.
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

/// What is offered here
#[utoipa::path(
    operation_id = "getCapabilities", tag = "Operations",
    responses((status = 200, description = "What works here", body = CapabilitiesResponse)),
)]
#[get("/capabilities")]
pub(super) async fn get_capabilities(input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    input.none().await?;
    ApiResponse::ok(&CapabilitiesResponse::of(&state.config))
}
