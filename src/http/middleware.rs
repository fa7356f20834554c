//! The outermost layer: what every request gets and every answer has, whichever handler made it, or none.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use actix_web::body::{self, BodySize, BoxBody, MessageBody};
use actix_web::dev::{ResourceDef, ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use futures_util::FutureExt as _;
use ipnet::IpNet;

use super::client::{client_of, request_id};
use super::deadline::within;
use super::idempotency::Replayed;
use super::problem::{Challenge, of_status};
use crate::clock::Clock;
use crate::error::{Code, Error};
use crate::observability::http_metrics as meters;
use crate::observability::log;
use crate::values::RequestId;

/// Longest time a request may take altogether, short of an answer that streams.
const REQUEST_DEADLINE: Duration = Duration::from_mins(1);

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the outermost layer needs to know.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The clock of the service.
    pub clock: Clock,
    /// Proxies whose word about the client's address is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// How refusals are written.
    pub challenge: Challenge,
    /// Whether browsers reach the service by TLS, and should from now on.
    pub https: bool,
    /// Where, and below which path, gateways ask about requests that they hold. A preflight (Fetch §4.8) among them is not
    /// ours to answer: whatever CORS said would let it through.
    pub asked_about: String,
}

/// The middleware.
///
/// # Errors
/// A panic and an overrun deadline, as ready-made answers.
pub async fn edge(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(edge) = request.app_data::<web::Data<Edge>>().cloned() else {
        return Err(Error::internal("the edge is not configured").into());
    };
    let request_id = request_id(request.headers());
    let client = client_of(
        request.headers(),
        request.peer_addr(),
        &edge.trusted_proxies,
        edge.clock.now(),
        request_id.clone(),
    );
    request.extensions_mut().insert(client);
    if request.method() == Method::OPTIONS && request.path().starts_with(&edge.asked_about) {
        request.headers_mut().remove(header::ACCESS_CONTROL_REQUEST_METHOD);
    }
    let logged = log::Request {
        id: request_id.shared(),
        method: request.method().clone(),
        path: request.path().to_owned(),
    };
    log::about(logged, edge.handle(request, next, request_id)).await
}

impl Edge {
    async fn handle(
        &self,
        mut request: ServiceRequest,
        next: Next<impl MessageBody + 'static>,
        request_id: RequestId,
    ) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
        let method = request.method().clone();
        // A HEAD is routed and answered as its GET; the protocol layer leaves the body out.
        if method == Method::HEAD {
            request.head_mut().method = Method::GET;
        }
        let started = std::time::Instant::now();
        let handled = AssertUnwindSafe(next.call(request)).catch_unwind();
        let failure = match within(REQUEST_DEADLINE, handled).await {
            Some(Ok(Ok(response))) => {
                let mut response = self.finish(response.map_into_boxed_body(), &request_id);
                self.seal(response.headers_mut(), &request_id);
                // A body that streams would be read to its end, and thrown away.
                if method == Method::HEAD && matches!(response.response().body().size(), BodySize::Stream) {
                    response = response.map_body(|_, _| BoxBody::new(body::None::new()));
                }
                record(Some(response.request()), &method, response.status(), started.elapsed());
                return Ok(response);
            }
            Some(Ok(Err(error))) => as_ours(&error),
            // The panic hook has logged message and place already.
            Some(Err(_)) => Error::internal("a handler panicked"),
            None => Error::with_detail(Code::Unavailable, "The request took too long.").retry_after(1),
        };
        log_failure(&failure);
        let answer = self.ready_made(&failure, &request_id);
        record(None, &method, answer.status(), started.elapsed());
        Err(InternalError::from_response(ReadyMade, answer).into())
    }

    /// Writes a refusal's body, now that the request is known.
    fn finish(&self, response: ServiceResponse<BoxBody>, request_id: &RequestId) -> ServiceResponse<BoxBody> {
        let status = response.status();
        let Some(error) = response.response().error() else {
            let bare = (status.is_client_error() || status.is_server_error())
                && !response.headers().contains_key(header::CONTENT_TYPE);
            return if bare {
                let problem = self.challenge.render(&of_status(status), request_id);
                replaced(response, problem)
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
                self.challenge.render(error, request_id)
            }
            None => self.challenge.render(&as_ours(error), request_id),
        };
        replaced(response, problem)
    }

    /// The headers that every answer has, unless its handler set others.
    fn seal(&self, headers: &mut HeaderMap, request_id: &RequestId) {
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

    /// An answer for where there is no request any more to answer to.
    fn ready_made(&self, error: &Error, request_id: &RequestId) -> HttpResponse {
        let mut response = self.challenge.render(error, request_id);
        self.seal(response.headers_mut(), request_id);
        response
    }
}

/// The problem instead of the answer, but with what layers further in have said in the headers (CORS above all).
fn replaced(response: ServiceResponse<BoxBody>, mut problem: HttpResponse) -> ServiceResponse<BoxBody> {
    for (name, value) in response.headers() {
        if !problem.headers().contains_key(name) {
            problem.headers_mut().append(name.clone(), value.clone());
        }
    }
    response.into_response(problem)
}

#[derive(Debug)]
struct ReadyMade;

impl std::fmt::Display for ReadyMade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("answered by the edge")
    }
}

fn as_ours(error: &actix_web::Error) -> Error {
    of_status(error.as_response_error().status_code())
}

fn log_failure(error: &Error) {
    use std::error::Error as _;
    match error.code() {
        Code::InternalError => tracing::error!(source = ?error.source().map(ToString::to_string), "internal error"),
        Code::Unavailable => tracing::warn!(source = ?error.source().map(ToString::to_string), "unavailable"),
        _ => {}
    }
}

/// Every request counts, also one that did not come back; those that went well are not worth a line each unless somebody
/// asks for it.
fn record(request: Option<&HttpRequest>, method: &Method, status: StatusCode, took: Duration) {
    let millis = took.as_secs_f64() * 1e3;
    if status.is_server_error() {
        tracing::warn!(status = status.as_u16(), millis, "answered");
    } else if status.is_client_error() {
        tracing::info!(status = status.as_u16(), millis, "answered");
    } else {
        tracing::debug!(status = status.as_u16(), millis, "answered");
    }
    let Some(request) = request else {
        return meters::count(method, "", status, took);
    };
    // Most routes have no variable part, and are found by the path itself.
    let path = request.path();
    if meters::count_known(method, path, status, took) {
        return;
    }
    let table = request.app_data::<web::Data<RouteTable>>();
    if table.is_some_and(|table| table.fixed.contains(path)) {
        meters::count(method, path, status, took);
    } else {
        meters::count(method, &request.match_pattern().unwrap_or_default(), status, took);
    }
}

/// Which methods each path has, for those requests that match no route.
#[derive(Default)]
pub struct RouteTable {
    routes: Vec<(ResourceDef, Vec<String>)>,
    /// The paths without a variable part.
    fixed: HashSet<String>,
}

impl RouteTable {
    /// From the paths of the OpenAPI document, which is made of the very routes, and their methods in capitals.
    pub fn new<'a>(routes: impl Iterator<Item = (&'a str, Vec<String>)>) -> Self {
        let mut table = Self::default();
        for (path, methods) in routes {
            if !path.contains('{') {
                table.fixed.insert(path.to_owned());
            }
            table.routes.push((ResourceDef::new(path), methods));
        }
        table
    }

    /// The methods of a path that stands in the document as it is, without parameters.
    pub(super) fn allow_literal(&self, path: &str) -> Option<String> {
        self.fixed.contains(path).then(|| self.allow(path)).flatten()
    }

    fn allow(&self, path: &str) -> Option<String> {
        // A path that stands there as it is is not also an id of something.
        let is_fixed = self.fixed.contains(path);
        let mut methods: Vec<&str> = self
            .routes
            .iter()
            .filter(|(route, _)| {
                if is_fixed {
                    route.pattern() == Some(path)
                } else {
                    route.is_match(path)
                }
            })
            .flat_map(|(_, methods)| methods.iter().map(String::as_str))
            .collect();
        if methods.is_empty() {
            return None;
        }
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        methods.sort_unstable();
        methods.dedup();
        Some(methods.join(", "))
    }
}

/// Answers what no route does: 404, 405 with `Allow`, or for OPTIONS 204 with `Allow`.
///
/// # Errors
/// `not_found`, `method_not_allowed`.
pub async fn fallback(request: HttpRequest, routes: web::Data<RouteTable>) -> Result<HttpResponse, Error> {
    let methods = routes.allow(request.path()).ok_or_else(Error::not_found)?;
    if request.method() == Method::OPTIONS {
        return Ok(HttpResponse::NoContent()
            .insert_header((header::ALLOW, methods))
            .finish());
    }
    Err(Error::new(Code::MethodNotAllowed).allow(methods))
}
