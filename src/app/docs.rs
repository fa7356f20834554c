//! `/openapi.json`, and Swagger UI at `/docs/`. Its files are embedded in the program, so it works without internet access.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, get, web};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::error::Error;
use crate::http::{RequestInput, TaggedContent, cacheable};

/// The serialised OpenAPI document, and the files of Swagger UI that were requested. They are hashed and stored once, not for
/// each request: the largest has 1.4 MB.
pub struct Document {
    openapi: TaggedContent,
    files: Mutex<BTreeMap<String, File>>,
}

#[derive(Clone)]
struct File {
    content: TaggedContent,
    media_type: String,
}

impl Document {
    pub fn new(openapi: String) -> Self {
        Self {
            openapi: Bytes::from(openapi).into(),
            files: Mutex::default(),
        }
    }

    fn file(&self, name: &str) -> Result<File, Error> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(name) {
            return Ok(file.clone());
        }
        let file = utoipa_swagger_ui::serve(name, Arc::new(utoipa_swagger_ui::Config::from("openapi.json")))
            .map_err(|error| Error::internal(error.to_string()))?
            .ok_or_else(Error::not_found)?;
        let content = match file.bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        };
        let file = File {
            content: content.into(),
            media_type: file.content_type,
        };
        files.insert(name.to_owned(), file.clone());
        Ok(file)
    }
}

/// Configures Swagger UI. After a login with "Try it out" it uses the new access token.
const INITIALIZER: &str = include_str!("swagger-initializer.js");

/// `'unsafe-inline'` because Swagger UI sets `style` attributes.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
);

/// Only `/openapi.json` is an operation of the API and is in the document.
pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(get_openapi)
        .route(PATHS[0], web::get().to(redirect_to_docs))
        .route(PATHS[1], web::get().to(get_docs));
}

/// The paths of Swagger UI, below the base path.
pub const PATHS: [&str; 2] = ["/docs", "/docs/{file:.*}"];

/// Get the OpenAPI document
///
/// Returns this document. It has an `ETag`; send `If-None-Match` to avoid reading it again.
#[utoipa::path(
    operation_id = "getOpenapi", tag = "Operations",
    responses((status = 200, description = "The OpenAPI 3.1 document", body = serde_json::Value)),
)]
#[get("/openapi.json")]
async fn get_openapi(
    request: HttpRequest,
    input: RequestInput,
    document: web::Data<Document>,
) -> Result<HttpResponse, Error> {
    input.none().await?;
    Ok(cacheable(
        &request,
        document.openapi.clone(),
        "application/json",
        "no-cache",
    ))
}

/// `/docs` without the slash.
async fn redirect_to_docs() -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, "docs/"))
        .finish()
}

async fn get_docs(
    request: HttpRequest,
    file: web::Path<String>,
    document: web::Data<Document>,
) -> Result<HttpResponse, Error> {
    if file.as_str() == "swagger-initializer.js" {
        let script = cacheable(
            &request,
            Bytes::from_static(INITIALIZER.as_bytes()),
            "text/javascript; charset=utf-8",
            "no-cache",
        );
        return Ok(with_content_security_policy(script, &POLICY));
    }
    let File { content, media_type } = document.file(&file)?;
    Ok(with_content_security_policy(
        cacheable(&request, content, &media_type, "no-cache"),
        &POLICY,
    ))
}

/// Replaces the default policy of API responses, which allows nothing.
pub(super) fn with_content_security_policy(mut response: HttpResponse, policy: &HeaderValue) -> HttpResponse {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    response
}
