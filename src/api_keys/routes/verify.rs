//! `POST /api-keys/verify`: another service asks whether a key that was shown to it is good.

use actix_web::{post, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::api_keys::authenticate::{LookUp, look_up};
use crate::api_keys::model::{Address, Scopes};
use crate::auth::{Caller, KeysVerify, OrgRole};
use crate::credential_cache::{KeyStatus, ResolvedKey};
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::request_type;
use crate::state::State;
use crate::values::ids::{ApiKeyId, OrgId, UserId};
use crate::values::{Timestamp, string_enum};

/// The one route that is asked all the time.
pub fn router(routes: &mut ServiceConfig) {
    routes.service(verify_api_key);
}

string_enum! {
    /// What came of looking at a key.
    pub enum VerificationCode {
        /// It is good, for all that was asked.
        Valid "valid",
        /// It has not the form, prefix or checksum of a key.
        Malformed "malformed",
        /// There is no such key, or none any more.
        Unknown "unknown",
        /// Its time is over.
        Expired "expired",
        /// Its owner has switched it off.
        Disabled "disabled",
        /// Its owner is disabled, or is no longer a member of its organisation.
        Suspended "suspended",
        /// It may not do all that was asked.
        InsufficientScope "insufficient_scope",
        /// It may not be used from the address given, or has a list of networks and no address was given.
        IpNotAllowed "ip_not_allowed",
    }
}

request_type! {
    /// The key in question.
    #[derive(ToSchema)]
    pub struct VerifyApiKeyRequest {
        /// What was presented as a key.
        pub key: String,
        /// What it must be allowed to do; all of these.
        #[schema(value_type = Vec<String>, required = false, max_items = 100)]
        pub scopes: Option<Scopes>,
        /// The address from which it was presented.
        #[schema(value_type = Option<String>, example = "203.0.113.7")]
        pub ip: Option<Address>,
    }
}

/// The owner of a key that was looked at.
#[derive(Serialize, ToSchema)]
pub struct VerifiedUserResponse {
    /// The person.
    pub id: UserId,
    /// Their unique name.
    pub username: Option<String>,
}

/// The organisation of a key that was looked at.
#[derive(Serialize, ToSchema)]
pub struct VerifiedOrgResponse {
    /// The organisation.
    pub id: OrgId,
    /// Its unique short name.
    pub slug: String,
    /// The owner's role there, as it is now.
    pub role: OrgRole,
}

/// What came of looking at a key.
#[derive(Serialize, ToSchema)]
#[schema(as = Verification)]
pub struct VerificationResponse<'a> {
    /// Whether the request with this key may go on.
    pub valid: bool,
    /// Why, or why not.
    pub code: VerificationCode,
    /// The key; null, like all that follows, for one that is malformed or unknown.
    pub key_id: Option<ApiKeyId>,
    /// What it is called.
    pub name: Option<&'a str>,
    /// Who it acts for.
    pub user: Option<VerifiedUserResponse>,
    /// Where it acts; null for a personal key, and where its owner is no member any more.
    pub org: Option<VerifiedOrgResponse>,
    /// What it may do now.
    pub scopes: Option<&'a [String]>,
    /// When it expires; null: never.
    pub expires_at: Option<Timestamp>,
    /// Whether the secret is the old one of a rotation, which ends soon.
    pub rotated: Option<bool>,
}

impl<'a> VerificationResponse<'a> {
    const fn nothing(code: VerificationCode) -> Self {
        Self {
            valid: false,
            code,
            key_id: None,
            name: None,
            user: None,
            org: None,
            scopes: None,
            expires_at: None,
            rotated: None,
        }
    }

    fn of(standing: &'a ResolvedKey, code: VerificationCode) -> Self {
        let authenticated = &standing.principal;
        Self {
            valid: code == VerificationCode::Valid,
            code,
            key_id: Some(standing.id),
            name: Some(&standing.name),
            user: Some(VerifiedUserResponse {
                id: authenticated.user_id,
                username: authenticated.username.clone(),
            }),
            org: authenticated
                .org
                .zip(standing.org_slug.clone())
                .map(|(acting, slug)| VerifiedOrgResponse {
                    id: acting.org_id,
                    slug,
                    role: acting.role,
                }),
            scopes: Some(standing.scopes()),
            expires_at: standing.state.expires_at.map(Timestamp),
            rotated: Some(standing.secret_ends_at.is_some()),
        }
    }
}

/// Verify an API key
///
/// Always 200 when the caller may ask; `code` says what is wrong with the key in question. It counts as a use of that key.
#[utoipa::path(
    operation_id = "verifyApiKey", tag = "Verification", security(("api_key" = ["keys:verify"])),
    request_body = VerifyApiKeyRequest,
    responses((status = 200, description = "What is to be said of the key", body = VerificationResponse)),
)]
#[post("/api-keys/verify")]
async fn verify_api_key(
    _caller: Caller<KeysVerify>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let request: VerifyApiKeyRequest = input.json().await?;
    // A body may take its time, and a key expire meanwhile.
    let now = state.clock.now();
    let standing = match look_up(&state, now, &request.key).await? {
        LookUp::Known(standing) => standing,
        LookUp::Unknown => return ApiResponse::ok(&VerificationResponse::nothing(VerificationCode::Unknown)),
        LookUp::Malformed => return ApiResponse::ok(&VerificationResponse::nothing(VerificationCode::Malformed)),
    };
    let ip = request.ip.map(|Address(ip)| ip);
    let has = |scope: &String| standing.scopes().contains(scope);
    let code = match standing.state.status(now).0 {
        KeyStatus::Suspended => VerificationCode::Suspended,
        KeyStatus::Disabled => VerificationCode::Disabled,
        KeyStatus::Expired => VerificationCode::Expired,
        KeyStatus::Active if !standing.allows_ip(ip) => VerificationCode::IpNotAllowed,
        KeyStatus::Active if !request.scopes.iter().flat_map(|scopes| &scopes.0).all(has) => {
            VerificationCode::InsufficientScope
        }
        KeyStatus::Active => VerificationCode::Valid,
    };
    state
        .key_usage
        .record(standing.id, now, ip, code != VerificationCode::Valid);
    ApiResponse::ok(&VerificationResponse::of(&standing, code))
}
