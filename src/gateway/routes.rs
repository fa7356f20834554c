//! `/.well-known/jwks.json`, `/.well-known/oauth-protected-resource`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::config::BaseUrl;
use crate::error::Error;
use crate::http::{PROTECTED_RESOURCE, RequestInput, cacheable};
use crate::state::State;

/// The routes that stay at the root, whatever the base path.
pub fn root_router(routes: &mut ServiceConfig) {
    routes.service(get_jwks).service(get_protected_resource).route(
        &format!("{PROTECTED_RESOURCE}/{{path:.*}}"),
        web::get().to(get_protected_resource_of_path),
    );
}

/// Public keys
///
/// The keys that sign access tokens (RFC 7517), for those who check signatures themselves. A signature says nothing about
/// revocation: ask `POST /auth/introspect` or `GET /auth/forward` for that.
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
        keys.into(),
        "application/jwk-set+json",
        "public, max-age=300",
    ))
}

/// Protected-resource metadata (RFC 9728 §2), by which clients such as those of MCP find out how to call.
#[derive(Serialize, ToSchema)]
pub struct ProtectedResourceResponse {
    /// The public URL.
    pub resource: String,
    /// Where the public keys are.
    pub jwks_uri: String,
    /// Always `header`.
    pub bearer_methods_supported: Vec<&'static str>,
    /// What the resource is called.
    pub resource_name: &'static str,
    /// Where people read about it.
    pub resource_documentation: String,
}

/// Protected-resource metadata
#[utoipa::path(
    operation_id = "getProtectedResource", tag = "Verification",
    responses((status = 200, description = "How to call this service (RFC 9728)", body = ProtectedResourceResponse)),
)]
#[get("/.well-known/oauth-protected-resource")]
async fn get_protected_resource(input: RequestInput, state: web::Data<State>) -> Result<HttpResponse, Error> {
    input.none().await?;
    Ok(describe(&state.config.public_url()))
}

/// Where RFC 9728 §3.1 looks for it, if the public URL has a path.
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
    Ok(describe(&url))
}

fn describe(url: &BaseUrl) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .json(ProtectedResourceResponse {
            resource: url.as_str().to_owned(),
            jwks_uri: format!("{}/.well-known/jwks.json", url.origin()),
            bearer_methods_supported: vec!["header"],
            resource_name: "Keyward",
            resource_documentation: format!("{}/docs/", url.as_str()),
        })
}
