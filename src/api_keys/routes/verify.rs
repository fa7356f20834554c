//! `POST /api-keys/verify`, for services that receive API keys themselves.

use actix_web::{post, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api_keys::model::Scopes;
use crate::api_keys::networks::IpAddress;
use crate::api_keys::verify::{CountUse, PresentedKey, Rejection, Verdict, verify};
use crate::auth::{Caller, KeysVerify, OrgRole};
use crate::credential_cache::ResolvedKey;
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::request_type;
use crate::state::State;
use crate::values::ids::{ApiKeyId, OrgId, UserId};
use crate::values::{Timestamp, string_enum};

string_enum! {
    /// Result of a verification; the first check that fails decides, in this order. `malformed`: prefix, length or
    /// checksum are wrong. `unknown`: no key has this secret. `suspended`: the owner is disabled, or no longer a member
    /// of the key's organisation. `disabled`: the owner has disabled the key. `expired`: the key has expired.
    /// `ip_not_allowed`: the key is limited to networks, and `ip` is outside of them or was not given.
    /// `insufficient_scope`: a required scope is missing. `valid`: all checks passed.
    pub enum VerificationCode {
        Valid "valid",
        Malformed "malformed",
        Unknown "unknown",
        Expired "expired",
        Disabled "disabled",
        Suspended "suspended",
        InsufficientScope "insufficient_scope",
        IpNotAllowed "ip_not_allowed",
    }
}

impl From<Rejection> for VerificationCode {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Suspended => Self::Suspended,
            Rejection::Disabled => Self::Disabled,
            Rejection::Expired => Self::Expired,
            Rejection::IpNotAllowed => Self::IpNotAllowed,
            Rejection::InsufficientScope => Self::InsufficientScope,
        }
    }
}

request_type! {
    /// The API key to verify.
    #[derive(ToSchema)]
    pub struct VerifyApiKeyRequest {
        /// Key as the client presented it.
        pub key: String,
        /// Scopes the key needs; all of them are required.
        #[schema(value_type = Vec<String>, required = false, max_items = 100)]
        pub scopes: Option<Scopes>,
        /// Address of the client that presented the key.
        #[schema(value_type = Option<String>, example = "203.0.113.7")]
        pub ip: Option<IpAddress>,
    }
}

/// The owner of a verified key.
#[derive(Serialize, ToSchema)]
pub struct VerifiedUserResponse {
    /// Id of the user.
    pub id: UserId,
    /// Unique name of the user.
    pub username: Option<String>,
}

/// The organisation of a verified key.
#[derive(Serialize, ToSchema)]
pub struct VerifiedOrgResponse {
    /// Id of the organisation.
    pub id: OrgId,
    /// Unique short name of the organisation.
    pub slug: String,
    /// Current role of the owner in the organisation.
    pub role: OrgRole,
}

/// The result of a verification.
#[derive(Serialize, ToSchema)]
#[schema(as = Verification)]
pub struct VerificationResponse<'a> {
    /// True if the key may be accepted.
    pub valid: bool,
    /// Result, or the first check that failed.
    pub code: VerificationCode,
    /// Id of the key; null, like all following fields, if the key is malformed or unknown.
    pub key_id: Option<ApiKeyId>,
    /// Name of the key.
    pub name: Option<&'a str>,
    /// Owner of the key.
    pub user: Option<VerifiedUserResponse>,
    /// Organisation the key acts in; null for a personal key, and if the owner is no longer a member.
    pub org: Option<VerifiedOrgResponse>,
    /// Scopes the key may use now.
    pub scopes: Option<&'a [String]>,
    /// Time of expiry; null: never.
    pub expires_at: Option<Timestamp>,
    /// True if this is the previous secret of a rotated key, within its grace period.
    pub rotated: Option<bool>,
}

impl<'a> VerificationResponse<'a> {
    fn new(verdict: &'a Verdict) -> Self {
        match verdict {
            Verdict::Malformed => Self::without_key(VerificationCode::Malformed),
            Verdict::Unknown => Self::without_key(VerificationCode::Unknown),
            Verdict::Rejected(key, rejection) => Self::of_key(key, (*rejection).into()),
            Verdict::Valid(key) => Self::of_key(key, VerificationCode::Valid),
        }
    }

    const fn without_key(code: VerificationCode) -> Self {
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

    fn of_key(key: &'a ResolvedKey, code: VerificationCode) -> Self {
        let owner = &key.principal;
        let org = owner.active_org.zip(key.org_slug.clone());
        Self {
            valid: code == VerificationCode::Valid,
            code,
            key_id: Some(key.id),
            name: Some(&key.name),
            user: Some(VerifiedUserResponse {
                id: owner.user_id,
                username: owner.username.clone(),
            }),
            org: org.map(|(org, slug)| VerifiedOrgResponse {
                id: org.org_id,
                slug,
                role: org.role,
            }),
            scopes: Some(key.scopes()),
            expires_at: key.state.expires_at.map(Timestamp),
            rotated: Some(key.secret_ends_at.is_some()),
        }
    }
}

/// Verify an API key
///
/// Checks a key that was presented to a service, and returns whether to accept it and its owner. The status is 200 for
/// every result; `code` contains the result. Counts as a use of the key. Needs an API key with the scope `keys:verify`,
/// which only platform admins can grant.
#[utoipa::path(
    operation_id = "verifyApiKey", tag = "Verification", security(("api_key" = ["keys:verify"])),
    request_body = VerifyApiKeyRequest,
    responses((status = 200, description = "The result of the verification", body = VerificationResponse)),
)]
#[post("/api-keys/verify")]
pub async fn verify_api_key(
    _caller: Caller<KeysVerify>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let request: VerifyApiKeyRequest = input.json().await?;
    let Scopes(required_scopes) = request.scopes.unwrap_or_default();
    let presented = PresentedKey {
        secret: &request.key,
        ip: request.ip.map(|IpAddress(ip)| ip),
        required_scopes: &required_scopes,
    };
    // Not the instant of the request: the key may have expired while the body was received.
    let now = state.clock.now();
    let verdict = verify(&state, now, presented, CountUse::Now).await?;
    ApiResponse::ok(&VerificationResponse::new(&verdict))
}
