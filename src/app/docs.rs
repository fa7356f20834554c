//! `/openapi.json`, and Swagger UI at `/docs/`, all of it from this program: it works without the internet.

use std::sync::Arc;

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, get, web};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::error::Error;
use crate::http::{RequestInput, cacheable};

/// The document, as it is sent.
pub struct Document(pub Bytes);

/// Sets Swagger UI up: the document beside it, credentials kept over a reload, and whoever logs in by "Try it out" is
/// authorised at once.
const INITIALIZER: &str = include_str!("swagger-initializer.js");

/// Swagger UI styles its elements one by one; scripts come from here alone.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
);

/// The routes of this module; only the document itself is an operation of the API.
pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(get_openapi)
        .route(PATHS[0], web::get().to(redirect_to_docs))
        .route(PATHS[1], web::get().to(get_docs));
}

/// The paths of Swagger UI, below the base path.
pub const PATHS: [&str; 2] = ["/docs", "/docs/{file:.*}"];

/// This document
#[utoipa::path(
    operation_id = "getOpenapi", tag = "Operations",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)),
)]
#[get("/openapi.json")]
async fn get_openapi(
    request: HttpRequest,
    input: RequestInput,
    document: web::Data<Document>,
) -> Result<HttpResponse, Error> {
    input.none().await?;
    Ok(cacheable(&request, document.0.clone(), "application/json", "no-cache"))
}

/// `/docs`, for who leaves the slash out.
async fn redirect_to_docs() -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, "docs/"))
        .finish()
}

/// A file of Swagger UI.
async fn get_docs(request: HttpRequest, file: web::Path<String>) -> Result<HttpResponse, Error> {
    if file.as_str() == "swagger-initializer.js" {
        let script = cacheable(
            &request,
            INITIALIZER.into(),
            "text/javascript; charset=utf-8",
            "no-cache",
        );
        return Ok(dressed(script, &POLICY));
    }
    let served = utoipa_swagger_ui::serve(&file, Arc::new(utoipa_swagger_ui::Config::from("openapi.json")))
        .map_err(|error| Error::internal(error.to_string()))?
        .ok_or_else(Error::not_found)?;
    let content = Bytes::copy_from_slice(&served.bytes);
    Ok(dressed(
        cacheable(&request, content, &served.content_type, "no-cache"),
        &POLICY,
    ))
}

/// An answer for browsers, with a policy of its own in place of the API's.
pub(super) fn dressed(mut response: HttpResponse, policy: &HeaderValue) -> HttpResponse {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    response
}
