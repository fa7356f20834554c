//! An API key in a response.

use actix_web::http::header;
use chrono::{DateTime, Utc};
use ipnet::IpNet;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api_keys::model::KeyDetails;
use crate::api_keys::operations::IssuedKey;
use crate::credential_cache::{KeyStatus, SuspensionReason};
use crate::error::Error;
use crate::http::ApiResponse;
use crate::state::State;
use crate::values::Timestamp;
use crate::values::ids::{ApiKeyId, OrgId};

/// The organisation of an API key.
#[derive(Clone, Serialize, ToSchema)]
pub struct ApiKeyOrgResponse {
    /// Id of the organisation.
    pub id: OrgId,
    /// Name of the organisation.
    pub name: String,
    /// Unique short name of the organisation.
    pub slug: String,
}

/// An API key. The secret is not part of it; only the responses of creation and rotation contain one.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub struct ApiKeyResponse {
    /// Id of the key.
    pub id: ApiKeyId,
    /// Name of the key.
    pub name: String,
    /// First characters of the current secret.
    #[schema(example = "kw_a1B2")]
    pub hint: String,
    /// Organisation the key acts in; null for a personal key.
    pub org: Option<ApiKeyOrgResponse>,
    /// Scopes granted to the key.
    pub scopes: Vec<String>,
    /// Granted scopes that the key may use now: those that the owner's role and services allow.
    pub effective_scopes: Vec<String>,
    /// Note on the key.
    pub remark: Option<String>,
    /// Status of the key.
    pub status: KeyStatus,
    /// Reason of the suspension; null unless the key is suspended.
    pub status_reason: Option<SuspensionReason>,
    /// False if the owner has disabled the key.
    pub enabled: bool,
    /// Networks the key may be used from, in CIDR notation; empty: all.
    #[schema(example = json!(["203.0.113.0/24"]))]
    pub allowed_ips: Vec<String>,
    /// Time of expiry; null: never.
    pub expires_at: Option<Timestamp>,
    /// Time of the last use that was not denied. Uses on other instances appear after some seconds.
    pub last_used_at: Option<Timestamp>,
    /// Client address of the last use that was not denied.
    pub last_used_ip: Option<String>,
    /// Time until which the previous secret of a rotated key works; null if there is none that works.
    pub previous_secret_expires_at: Option<Timestamp>,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time of the last change; uses don't count.
    pub updated_at: Timestamp,
}

impl ApiKeyResponse {
    pub fn new(details: KeyDetails, now: DateTime<Utc>, state: &State) -> Self {
        let (status, status_reason) = details.status(now);
        let effective_scopes = details.effective_scopes(&state.scopes);
        let mut key = details.key;
        // A use that is not written to the database yet.
        let pending = state.key_usage.last_use(key.id);
        if let Some(last) = pending.filter(|last| Some(last.at) > key.last_used_at) {
            key.last_used_at = Some(last.at);
            key.last_used_ip = last.ip.map(IpNet::from);
        }
        let org = key.org_id.zip(details.org).map(|(id, org)| ApiKeyOrgResponse {
            id,
            name: org.name,
            slug: org.slug,
        });
        Self {
            id: key.id,
            name: key.name,
            hint: key.hint,
            org,
            scopes: key.scopes,
            effective_scopes,
            remark: key.remark,
            status,
            status_reason,
            enabled: key.disabled_at.is_none(),
            allowed_ips: key.allowed_ips.iter().map(ToString::to_string).collect(),
            expires_at: key.expires_at.map(Timestamp),
            last_used_at: key.last_used_at.map(Timestamp),
            last_used_ip: key.last_used_ip.map(|ip| ip.addr().to_string()),
            previous_secret_expires_at: details.previous_secret_ends_at.map(Timestamp),
            created_at: key.created_at.into(),
            updated_at: key.updated_at.into(),
        }
    }

    /// 200 with the key and its `ETag`.
    pub fn ok(details: KeyDetails, now: DateTime<Utc>, state: &State) -> Result<ApiResponse, Error> {
        let version = details.key.version;
        Ok(ApiResponse::ok(&Self::new(details, now, state))?.etag(version))
    }
}

/// An API key with its secret, which no later response contains.
#[derive(Serialize, ToSchema)]
#[schema(as = IssuedApiKey)]
pub struct IssuedApiKeyResponse {
    /// The key.
    #[serde(flatten)]
    pub key: ApiKeyResponse,
    /// Secret to send as `Authorization: Bearer`. Null in the response to a repeated request (`Idempotency-Key`), since
    /// it is not stored.
    #[schema(required = true, example = "kw_000000000000000000000000000000001vXtxm")]
    pub secret: Option<String>,
}

impl IssuedApiKeyResponse {
    /// 201 with the key and its secret, which a stored response for `Idempotency-Key` leaves out.
    pub fn created(issued: IssuedKey, now: DateTime<Utc>, state: &State) -> Result<ApiResponse, Error> {
        let (id, version) = (issued.details.key.id, issued.details.key.version);
        let response = Self {
            key: ApiKeyResponse::new(issued.details, now, state),
            secret: Some(issued.secret.expose().to_owned()),
        };
        Ok(
            ApiResponse::created(&state.config, &format!("/api-keys/{id}"), &response)?
                .etag(version)
                .header(header::CACHE_CONTROL, "no-store")
                .secret("secret"),
        )
    }
}
