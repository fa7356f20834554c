//! The outermost middleware: gives each request an id, a client and a deadline, and turns every error, including those of
//! actix itself, into `application/problem+json`.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use actix_web::body::{self, BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use futures_util::FutureExt as _;
use ipnet::IpNet;
use tokio::time::timeout;

use super::RouteTable;
use super::client::{client_of, request_id};
use super::connections::RequestInProgress;
use super::idempotency::Replayed;
use super::problem::{ProblemRenderer, error_of_status};
use crate::clock::Clock;
use crate::error::{Code, Error};
use crate::observability::{http_metrics, log};
use crate::values::RequestId;

/// Limits a request up to the head of its response; a streaming response body is not limited.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The settings that [`with_request_context`] needs.
#[derive(Clone, Debug)]
pub struct RequestContext {
    pub clock: Clock,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    pub problems: ProblemRenderer,
    /// Whether the public URL is HTTPS, so that responses carry `Strict-Transport-Security`.
    pub https: bool,
    /// The path below which gateways send requests to be checked. A CORS preflight (Fetch §4.8) there belongs to the service
    /// behind the gateway: if the CORS middleware responded to it, the gateway would take the 2xx for "allowed".
    pub forward_path: String,
}

/// The middleware function, for [`actix_web::middleware::from_fn`].
///
/// # Errors
/// After a panic or a timeout the response is an `Err`: see `RequestLost`.
pub async fn with_request_context(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(context) = request.app_data::<web::Data<RequestContext>>().cloned() else {
        return Err(Error::internal("the app has no RequestContext").into());
    };
    let request_id = request_id(request.headers());
    let client = client_of(
        request.headers(),
        request.peer_addr(),
        &context.trusted_proxies,
        context.clock.now(),
        request_id.clone(),
    );
    request.extensions_mut().insert(client);
    if request.method() == Method::OPTIONS && request.path().starts_with(&context.forward_path) {
        // Without this header the CORS middleware does not take the request for a preflight.
        request.headers_mut().remove(header::ACCESS_CONTROL_REQUEST_METHOD);
    }
    let log_fields = log::RequestFields {
        id: request_id.shared(),
        method: request.method().clone(),
        path: request.path().to_owned(),
    };
    log::with_request(log_fields, context.handle(request, next, request_id)).await
}

impl RequestContext {
    async fn handle(
        &self,
        mut request: ServiceRequest,
        next: Next<impl MessageBody + 'static>,
        request_id: RequestId,
    ) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
        let in_progress = RequestInProgress::begin(&request);
        let method = request.method().clone();
        // HEAD is routed as GET; actix leaves the body out when it writes the response.
        if method == Method::HEAD {
            request.head_mut().method = Method::GET;
        }
        let started = std::time::Instant::now();
        let response = AssertUnwindSafe(next.call(request)).catch_unwind();
        let failure = match timeout(REQUEST_TIMEOUT, response).await {
            Ok(Ok(Ok(response))) => {
                let mut response = self.to_problem(response.map_into_boxed_body(), &request_id);
                self.add_default_headers(response.headers_mut(), &request_id);
                // actix would read a stream to its end before it drops the bytes; a notification stream has no end.
                if method == Method::HEAD && matches!(response.response().body().size(), BodySize::Stream) {
                    response = response.map_body(|_, _| BoxBody::new(body::None::new()));
                }
                record(Some(response.request()), &method, response.status(), started.elapsed());
                return Ok(response.map_body(|_, body| in_progress.end_with(body)));
            }
            Ok(Ok(Err(error))) => from_actix(&error),
            // The panic hook has logged message and source line already.
            Ok(Err(_)) => Error::internal("a handler panicked"),
            Err(_) => {
                let detail = "The request took longer than a minute and was cancelled. Try again.";
                Error::with_detail(Code::Unavailable, detail).retry_after(1)
            }
        };
        log_failure(&failure);
        let mut response = self.problems.render(&failure, &request_id);
        self.add_default_headers(response.headers_mut(), &request_id);
        record(None, &method, response.status(), started.elapsed());
        Err(InternalError::from_response(RequestLost, response).into())
    }

    /// Replaces the body of an error by `application/problem+json`. Handlers cannot write it themselves: an [`Error`] does not
    /// know the request id.
    fn to_problem(&self, response: ServiceResponse<BoxBody>, request_id: &RequestId) -> ServiceResponse<BoxBody> {
        let status = response.status();
        let Some(error) = response.response().error() else {
            let is_error = status.is_client_error() || status.is_server_error();
            // actix responds to some malformed requests with a status and no body.
            return if is_error && !response.headers().contains_key(header::CONTENT_TYPE) {
                let problem = self.problems.render(&error_of_status(status), request_id);
                replace_response(response, problem)
            } else {
                response
            };
        };
        if error.as_error::<InternalError<Replayed>>().is_some() {
            return response;
        }
        let problem = match error.as_error::<Error>() {
            Some(error) => {
                log_failure(error);
                self.problems.render(error, request_id)
            }
            None => self.problems.render(&from_actix(error), request_id),
        };
        replace_response(response, problem)
    }

    /// Headers that every response has; a header that the handler set is kept.
    fn add_default_headers(&self, headers: &mut HeaderMap, request_id: &RequestId) {
        let mut default = |name: HeaderName, value: &'static str| {
            if !headers.contains_key(&name) {
                headers.insert(name, HeaderValue::from_static(value));
            }
        };
        default(header::CACHE_CONTROL, "no-store");
        default(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        );
        default(header::REFERRER_POLICY, "no-referrer");
        default(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        if self.https {
            default(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
        }
        if let Ok(id) = HeaderValue::from_str(request_id.as_str()) {
            headers.insert(X_REQUEST_ID, id);
        }
    }
}

/// Replaces a response by a problem, and keeps the headers that other middleware added (above all CORS).
fn replace_response(response: ServiceResponse<BoxBody>, mut problem: HttpResponse) -> ServiceResponse<BoxBody> {
    for (name, value) in response.headers() {
        if !problem.headers().contains_key(name) {
            problem.headers_mut().append(name.clone(), value.clone());
        }
    }
    response.into_response(problem)
}

/// Carries a response to actix as an error. An `Ok` needs a [`ServiceResponse`], and that needs the request, which was dropped
/// with the handler that panicked or timed out.
#[derive(Debug)]
struct RequestLost;

impl std::fmt::Display for RequestLost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the request was dropped before it had a response")
    }
}

fn from_actix(error: &actix_web::Error) -> Error {
    error_of_status(error.as_response_error().status_code())
}

fn log_failure(error: &Error) {
    use std::error::Error as _;
    match error.code() {
        Code::InternalError => tracing::error!(source = ?error.source().map(ToString::to_string), "internal error"),
        Code::Unavailable => tracing::warn!(source = ?error.source().map(ToString::to_string), "unavailable"),
        _ => {}
    }
}

/// Logs and counts a request; without `request`, one that panicked or timed out. Successes are logged at level debug only.
fn record(request: Option<&HttpRequest>, method: &Method, status: StatusCode, took: Duration) {
    let millis = took.as_secs_f64() * 1e3;
    if status.is_server_error() {
        tracing::warn!(status = status.as_u16(), millis, "responded");
    } else if status.is_client_error() {
        tracing::info!(status = status.as_u16(), millis, "responded");
    } else {
        tracing::debug!(status = status.as_u16(), millis, "responded");
    }
    let Some(request) = request else {
        return http_metrics::count(method, "", status, took);
    };
    // For a path without parameters the path is the route's pattern, which need not be built.
    let path = request.path();
    if http_metrics::count_known(method, path, status, took) {
        return;
    }
    let table = request.app_data::<web::Data<RouteTable>>();
    if table.is_some_and(|table| table.is_literal(path)) {
        http_metrics::count(method, path, status, took);
    } else {
        http_metrics::count(method, &request.match_pattern().unwrap_or_default(), status, took);
    }
}
