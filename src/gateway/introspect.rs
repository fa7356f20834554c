//! `POST /auth/introspect` (RFC 7662), for access tokens and API keys.

use actix_web::{post, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::api_keys::{self, CountUse, IpAddress, PresentedKey, Verdict};
use crate::auth::{Caller, OrgRole, TokensIntrospect};
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::request_type;
use crate::sessions;
use crate::state::State;
use crate::values::ids::{OrgId, UserId};

pub fn router(routes: &mut ServiceConfig) {
    routes.service(introspect_token);
}

request_type! {
    /// The credential to introspect.
    #[derive(ToSchema)]
    pub struct IntrospectTokenRequest {
        /// Credential as the client presented it: an access token or an API key.
        pub token: String,
        /// Kind of the credential according to the caller; ignored.
        #[schema(nullable = false)]
        pub token_type_hint: Option<String>,
        /// Address of the client that presented the credential. An API key that is limited to networks is inactive
        /// without it.
        #[schema(value_type = Option<String>, nullable = false)]
        pub ip: Option<IpAddress>,
    }
}

/// An active credential. The response for an inactive one is `{"active": false}`.
#[derive(Serialize, ToSchema)]
#[schema(as = Introspection)]
pub struct IntrospectionResponse {
    /// Whether the credential may be accepted.
    pub active: bool,
    /// `api_key` or `access_token`.
    pub token_type: &'static str,
    /// Id of the user the credential acts for.
    pub sub: UserId,
    /// Unique name of the user.
    pub username: Option<String>,
    /// Scopes the API key may use now, separated by spaces; null for an access token, which is limited by the user's
    /// role only.
    pub scope: Option<String>,
    /// Id of the API key or the session.
    pub client_id: String,
    /// Issuer of the credential.
    pub iss: String,
    /// Audience of the credential.
    pub aud: String,
    /// Time of issue, in seconds since 1970.
    pub iat: i64,
    /// Time of expiry, in seconds since 1970; null: never.
    pub exp: Option<i64>,
    /// Id of the organisation in which the credential acts.
    pub org_id: Option<OrgId>,
    /// Current role of the user in that organisation.
    pub org_role: Option<OrgRole>,
}

/// Introspect a token
///
/// Returns whether an access token or an API key is active, and for which user it acts (RFC 7662). The response for an
/// inactive, unknown or malformed one is `{"active": false}`. Counts as a use of an API key. Needs an API key with the
/// scope `tokens:introspect`, which only platform admins can grant.
#[utoipa::path(
    operation_id = "introspectToken", tag = "Verification", security(("api_key" = ["tokens:introspect"])),
    request_body(content = IntrospectTokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The state of the credential", body = IntrospectionResponse)),
)]
#[post("/auth/introspect")]
async fn introspect_token(
    _caller: Caller<TokensIntrospect>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let request: IntrospectTokenRequest = input.form().await?;
    // RFC 7662 §2.1 allows a server to ignore the hint. The prefix already distinguishes the two kinds.
    let _ = &request.token_type_hint;
    // Not the instant of the request: the credential may have expired while the body was received.
    let now = state.clock.now();
    let active = if api_keys::has_prefix(&state.config.key_prefix, &request.token) {
        introspect_key(&state, now, &request).await?
    } else {
        introspect_access_token(&state, now, &request.token).await?
    };
    match active {
        Some(response) => ApiResponse::ok(&response),
        None => ApiResponse::ok(&json!({"active": false})),
    }
}

async fn introspect_key(
    state: &State,
    now: DateTime<Utc>,
    request: &IntrospectTokenRequest,
) -> Result<Option<IntrospectionResponse>, Error> {
    let presented = PresentedKey {
        secret: &request.token,
        ip: request.ip.map(|IpAddress(ip)| ip),
        required_scopes: &[],
    };
    let Verdict::Valid(key) = api_keys::verify(state, now, presented, CountUse::Now).await? else {
        return Ok(None);
    };
    let owner = &key.principal;
    // A secret in its grace period ends before the key does.
    let expires_at = [key.state.expires_at, key.secret_ends_at].into_iter().flatten().min();
    Ok(Some(IntrospectionResponse {
        active: true,
        token_type: "api_key",
        sub: owner.user_id,
        username: owner.username.clone(),
        scope: Some(key.scopes().join(" ")),
        client_id: key.id.to_string(),
        iss: state.tokens.issuer().to_owned(),
        aud: state.config.audience.clone(),
        iat: key.created_at.timestamp(),
        exp: expires_at.map(|at| at.timestamp()),
        org_id: owner.active_org.map(|org| org.org_id),
        org_role: owner.active_org.map(|org| org.role),
    }))
}

async fn introspect_access_token(
    state: &State,
    now: DateTime<Utc>,
    token: &str,
) -> Result<Option<IntrospectionResponse>, Error> {
    let Some(token) = sessions::look_up(state, now, token).await? else {
        return Ok(None);
    };
    let (claims, person) = (&token.claims, &token.session.principal);
    Ok(Some(IntrospectionResponse {
        active: true,
        token_type: "access_token",
        sub: person.user_id,
        username: person.username.clone(),
        scope: None,
        client_id: claims.sid.to_string(),
        iss: claims.iss.clone(),
        aud: claims.aud.clone(),
        iat: claims.iat,
        exp: Some(claims.exp),
        org_id: person.active_org.map(|org| org.org_id),
        org_role: person.active_org.map(|org| org.role),
    }))
}
