//! `/.well-known/jwks.json` and `/.well-known/oauth-protected-resource`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::config::BaseUrl;
use crate::error::Error;
use crate::http::{PROTECTED_RESOURCE, RequestInput, cacheable};
use crate::state::State;

/// The routes at the root, outside the base path.
pub fn root_router(routes: &mut ServiceConfig) {
    routes.service(get_jwks).service(get_protected_resource).route(
        &format!("{PROTECTED_RESOURCE}/{{path:.*}}"),
        web::get().to(get_protected_resource_of_path),
    );
}

/// Get the public keys of access tokens
///
/// Returns the public keys of access tokens as a JSON Web Key Set (RFC 7517), for services that verify signatures
/// themselves. A valid signature does not mean that the session still exists; `POST /auth/introspect` and `GET
/// /auth/forward` check that as well. Needs no credential.
#[utoipa::path(
    operation_id = "getJwks", tag = "Verification",
    responses((status = 200, description = "A JSON Web Key Set", body = serde_json::Value, content_type = "application/jwk-set+json")),
)]
#[get("/.well-known/jwks.json")]
async fn get_jwks(request: HttpRequest, input: RequestInput, state: web::Data<State>) -> Result<HttpResponse, Error> {
    input.none().await?;
    let keys = serde_json::to_vec(&state.tokens.jwks()).map_err(Error::internal)?;
    Ok(cacheable(
        &request,
        web::Bytes::from(keys),
        "application/jwk-set+json",
        "public, max-age=300",
    ))
}

/// Metadata of a protected resource (RFC 9728 §2).
#[derive(Serialize, ToSchema)]
pub struct ProtectedResourceResponse {
    /// Public URL of the service.
    pub resource: String,
    /// URL of the public keys.
    pub jwks_uri: String,
    /// Always `header`.
    pub bearer_methods_supported: Vec<&'static str>,
    /// Names of the scopes that an API key can have.
    pub scopes_supported: Vec<String>,
    /// Name of the service.
    pub resource_name: &'static str,
    /// URL of the documentation.
    pub resource_documentation: String,
}

/// Get the protected-resource metadata
///
/// Returns how to authenticate to this service (RFC 9728). Clients, such as those of MCP servers, discover it through
/// the `WWW-Authenticate` header of a 401 response. Needs no credential.
#[utoipa::path(
    operation_id = "getProtectedResource", tag = "Verification",
    responses((status = 200, description = "The metadata", body = ProtectedResourceResponse)),
)]
#[get("/.well-known/oauth-protected-resource")]
async fn get_protected_resource(input: RequestInput, state: web::Data<State>) -> Result<HttpResponse, Error> {
    input.none().await?;
    Ok(metadata(&state, &state.config.public_url()))
}

/// RFC 9728 §3.1: the path of the public URL follows the well-known path.
async fn get_protected_resource_of_path(
    path: web::Path<String>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let url = state.config.public_url();
    if url.path().strip_prefix('/') != Some(path.as_str()) {
        return Err(Error::not_found());
    }
    input.none().await?;
    Ok(metadata(&state, &url))
}

fn metadata(state: &State, url: &BaseUrl) -> HttpResponse {
    let scopes = state.scopes.all().iter();
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .json(ProtectedResourceResponse {
            resource: url.as_str().to_owned(),
            jwks_uri: format!("{}/.well-known/jwks.json", url.origin()),
            bearer_methods_supported: vec!["header"],
            scopes_supported: scopes.map(|scope| scope.name.clone()).collect(),
            resource_name: "Keyward",
            resource_documentation: format!("{}/docs/", url.as_str()),
        })
}
