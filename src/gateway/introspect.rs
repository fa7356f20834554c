//! `POST /auth/introspect` (RFC 7662).

use actix_web::{post, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::api_keys::{self, Address, LookUp};
use crate::auth::{Caller, OrgRole, TokensIntrospect};
use crate::credential_cache::KeyStatus;
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
    /// The credential in question.
    #[derive(ToSchema)]
    pub struct IntrospectTokenRequest {
        /// What was presented: an access token or an API key.
        pub token: String,
        /// What the caller takes it for; of no consequence.
        #[schema(nullable = false)]
        pub token_type_hint: Option<String>,
        /// The address from which it was presented; a key with a list of networks is inactive without it.
        #[schema(value_type = Option<String>, nullable = false)]
        pub ip: Option<Address>,
    }
}

/// What is to be said of a credential; of one that is not active, `{"active": false}` and nothing else.
#[derive(Serialize, ToSchema)]
#[schema(as = Introspection)]
pub struct IntrospectionResponse {
    /// Whether the credential is good.
    pub active: bool,
    /// `api_key` or `access_token`.
    pub token_type: &'static str,
    /// Who it acts for.
    pub sub: UserId,
    /// Their unique name.
    pub username: Option<String>,
    /// What a key may do now, separated by spaces; null for a session, which may do what the person may.
    pub scope: Option<String>,
    /// The key or session.
    pub client_id: String,
    /// Who issued it.
    pub iss: String,
    /// For whom.
    pub aud: String,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// When it expires, in seconds since 1970; null: never.
    pub exp: Option<i64>,
    /// Where it acts.
    pub org_id: Option<OrgId>,
    /// The person's role there, as it is now.
    pub org_role: Option<OrgRole>,
}

/// Introspect a credential
///
/// RFC 7662, for access tokens and API keys. What is not active is answered `{"active": false}` and no more.
#[utoipa::path(
    operation_id = "introspectToken", tag = "Verification", security(("api_key" = ["tokens:introspect"])),
    request_body(content = IntrospectTokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "What is to be said of the credential", body = IntrospectionResponse)),
)]
#[post("/auth/introspect")]
async fn introspect_token(
    _caller: Caller<TokensIntrospect>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let request: IntrospectTokenRequest = input.form().await?;
    // RFC 7662 §2.1: a hint may be ignored, and the form of a credential says more.
    let _ = &request.token_type_hint;
    // A body may take its time, and a credential expire meanwhile.
    let now = state.clock.now();
    let found = if api_keys::has_prefix(&state.config.key_prefix, &request.token) {
        of_key(&state, now, &request).await?
    } else {
        of_session(&state, now, &request.token).await?
    };
    match found {
        Some(answer) => ApiResponse::ok(&answer),
        None => ApiResponse::ok(&json!({"active": false})),
    }
}

async fn of_key(
    state: &State,
    now: DateTime<Utc>,
    request: &IntrospectTokenRequest,
) -> Result<Option<IntrospectionResponse>, Error> {
    let LookUp::Known(key) = api_keys::look_up(state, now, &request.token).await? else {
        return Ok(None);
    };
    let ip = request.ip.map(|Address(ip)| ip);
    let good = key.state.status(now).0 == KeyStatus::Active && key.allows_ip(ip);
    state.key_usage.record(key.id, now, ip, !good);
    if !good {
        return Ok(None);
    }
    let (org_id, org_role) = key.principal.org.map(|acting| (acting.org_id, acting.role)).unzip();
    // A secret in its grace period ends before the key does.
    let ends_at = [key.state.expires_at, key.secret_ends_at].into_iter().flatten().min();
    Ok(Some(IntrospectionResponse {
        active: true,
        token_type: "api_key",
        sub: key.principal.user_id,
        username: key.principal.username.clone(),
        scope: Some(key.scopes().join(" ")),
        client_id: key.id.to_string(),
        iss: state.tokens.issuer().to_owned(),
        aud: state.config.audience.clone(),
        iat: key.created_at.timestamp(),
        exp: ends_at.map(|at| at.timestamp()),
        org_id,
        org_role,
    }))
}

async fn of_session(state: &State, now: DateTime<Utc>, token: &str) -> Result<Option<IntrospectionResponse>, Error> {
    let Some(known) = sessions::look_up(state, now, token).await? else {
        return Ok(None);
    };
    let (claims, authenticated) = (&known.claims, &known.session.principal);
    let (org_id, org_role) = authenticated.org.map(|acting| (acting.org_id, acting.role)).unzip();
    Ok(Some(IntrospectionResponse {
        active: true,
        token_type: "access_token",
        sub: authenticated.user_id,
        username: authenticated.username.clone(),
        scope: None,
        client_id: claims.sid.to_string(),
        iss: claims.iss.clone(),
        aud: claims.aud.clone(),
        iat: claims.iat,
        exp: Some(claims.exp),
        org_id,
        org_role,
    }))
}
