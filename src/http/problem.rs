//! Error responses: `application/problem+json` (RFC 9457), and the pages that explain the codes.

use std::fmt::Write as _;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError, get, web};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::error::{Code, Error, ErrorLocation, FieldError};
use crate::values::RequestId;

const PROBLEM_JSON: &str = "application/problem+json";

/// The path of the protected resource metadata (RFC 9728), followed by the path of the public URL (§3.1). Every challenge names it.
pub const PROTECTED_RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// For so many seconds after the password was verified, the session can call operations that need re-authentication.
pub const MAX_AUTH_AGE_SECONDS: i64 = 600;

/// An error response (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemResponse<'a> {
    /// URL of the page that explains `code`.
    #[serde(rename = "type")]
    #[schema(rename = "type")]
    pub kind: String,
    /// Short summary, the same for every problem with this code.
    pub title: &'a str,
    /// HTTP status of the response.
    pub status: u16,
    /// Machine-readable code; `GET /problems/{code}` explains it.
    pub code: &'a str,
    /// What is wrong with this request, and what to do.
    pub detail: &'a str,
    /// Id of the request, as in `X-Request-Id` and in the log.
    pub request_id: &'a str,
    /// The fields and parameters that are not valid; only in a `validation_error`. At most 50 are listed; `detail` then says how
    /// many there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub errors: Option<Vec<ProblemFieldResponse<'a>>>,
}

/// A field of the body (`pointer`) or a query parameter (`parameter`) that is not valid.
#[derive(Serialize, ToSchema)]
#[schema(as = ProblemField)]
pub struct ProblemFieldResponse<'a> {
    /// JSON Pointer (RFC 6901) into the body, as a URI fragment. An unknown name longer than 64 characters is cut and ends in `…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pointer: Option<&'a str>,
    /// Name of the query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub parameter: Option<&'a str>,
    /// Machine-readable code of the broken rule.
    pub code: &'a str,
    /// What is wrong with the value, and what to do.
    pub detail: &'a str,
    /// Limits of the broken rule, such as `min` and `max`.
    #[schema(value_type = Object)]
    pub params: &'a Map<String, Value>,
}

impl<'a> From<&'a FieldError> for ProblemFieldResponse<'a> {
    fn from(field: &'a FieldError) -> Self {
        let (pointer, parameter) = match &field.location {
            ErrorLocation::Pointer(pointer) => (Some(pointer.as_str()), None),
            ErrorLocation::Parameter(name) => (None, Some(name.as_str())),
        };
        let invalid = &field.invalid;
        Self {
            pointer,
            parameter,
            code: invalid.code.as_str(),
            detail: &invalid.detail,
            params: &invalid.params,
        }
    }
}

/// Renders errors as problems. They contain the public URL, as do their `WWW-Authenticate` headers.
#[derive(Clone, Debug)]
pub struct ProblemRenderer {
    public_url: String,
    resource_metadata: String,
}

impl ProblemRenderer {
    pub fn new(public_url: &crate::config::BaseUrl) -> Self {
        Self {
            public_url: public_url.as_str().to_owned(),
            resource_metadata: format!("{}{PROTECTED_RESOURCE}{}", public_url.origin(), public_url.path()),
        }
    }

    /// `WWW-Authenticate` (RFC 6750 §3), with `max_age` for re-authentication (RFC 9470 §3) and `resource_metadata` (RFC 9728 §5.1).
    fn challenge(&self, error: &Error) -> Option<String> {
        let code = error.code();
        let mut challenge = format!(
            "Bearer realm=\"keyward\", resource_metadata=\"{}\"",
            self.resource_metadata
        );
        let kind = match code {
            Code::InvalidToken => "invalid_token",
            Code::ReauthenticationRequired => "insufficient_user_authentication",
            Code::InsufficientScope => "insufficient_scope",
            // RFC 6750 has no error code for these. Gateways pass the header on to their clients.
            Code::ForbiddenRole | Code::IpNotAllowed => return Some(challenge),
            _ if code.status() == 401 => return Some(challenge),
            _ => return None,
        };
        let _ = write!(challenge, ", error=\"{kind}\", error_description=\"{}\"", code.title());
        if code == Code::ReauthenticationRequired {
            let _ = write!(challenge, ", max_age={MAX_AUTH_AGE_SECONDS}");
        }
        if let Some(scope) = &error.headers().scope {
            let _ = write!(challenge, ", scope=\"{scope}\"");
        }
        Some(challenge)
    }

    pub fn render(&self, error: &Error, request_id: &RequestId) -> HttpResponse {
        let code = error.code();
        let errors = (code == Code::ValidationError).then(|| error.fields().iter().map(Into::into).collect());
        let body = ProblemResponse {
            kind: format!("{}/problems/{}", self.public_url, code.as_str()),
            title: code.title(),
            status: code.status(),
            code: code.as_str(),
            detail: error.detail(),
            request_id: request_id.as_str(),
            errors,
        };
        let headers = error.headers();
        let mut response = HttpResponse::build(status_of(code));
        let mut set = |name: &'static str, value: Option<String>| {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                response.insert_header((name, value));
            }
        };
        set("www-authenticate", self.challenge(error));
        set("retry-after", headers.retry_after.map(|seconds| seconds.to_string()));
        set("allow", headers.allow.clone());
        let (policy, limit) = headers.rate_limit.clone().unzip();
        set("ratelimit-policy", policy);
        set("ratelimit", limit);
        let body = serde_json::to_string(&body).unwrap_or_default();
        response.insert_header((header::CONTENT_TYPE, PROBLEM_JSON)).body(body)
    }
}

fn status_of(code: Code) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Lets handlers return an [`Error`]. The response has no body yet: `http/middleware.rs` adds it, which knows the request id.
impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        status_of(self.code())
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        HttpResponse::new(self.status_code())
    }
}

/// The error of a status that actix chose, such as 404 for an unknown path.
pub(super) fn error_of_status(status: StatusCode) -> Error {
    Error::new(match status.as_u16() {
        404 => Code::NotFound,
        405 => Code::MethodNotAllowed,
        408 => Code::RequestTimeout,
        413 => Code::PayloadTooLarge,
        415 => Code::UnsupportedMediaType,
        431 => Code::HeadersTooLarge,
        400..=499 => Code::MalformedRequest,
        503 => Code::Unavailable,
        _ => Code::InternalError,
    })
}

/// Explain a problem code
///
/// Returns an HTML page about the code. The `type` of a problem is the URL of this page.
#[utoipa::path(
    operation_id = "getProblem", tag = "Operations",
    params(("code" = String, Path, description = "Code of a problem, such as `validation_error`")),
    responses((status = 200, description = "The page", body = String, content_type = "text/html")),
)]
#[get("/problems/{code}")]
async fn get_problem(code: web::Path<String>, input: super::RequestInput) -> Result<HttpResponse, Error> {
    let code = Code::ALL
        .iter()
        .find(|known| known.as_str() == code.as_str())
        .ok_or_else(Error::not_found)?;
    input.none().await?;
    let page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\n<h1>{title}</h1>\n\
         <p>Status {status}, code <code>{name}</code></p>\n<p>{meaning}</p>\n</html>\n",
        title = code.title(),
        status = code.status(),
        name = code.as_str(),
        meaning = code.meaning(),
    );
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=3600"))
        .content_type("text/html; charset=utf-8")
        .body(page))
}

pub fn router(routes: &mut utoipa_actix_web::service_config::ServiceConfig) {
    routes.service(get_problem);
}
