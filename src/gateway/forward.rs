//! `/auth/forward`: a gateway sends the `Authorization` header of a client's request, and passes the request on if the
//! response is a success.

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, get, web};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::{AnyCredential, Caller, Credential};
use crate::error::{Code, Error, FieldCode, Invalid};
use crate::http::RequestInput;
use crate::request_type;
use crate::state::State;

/// The requirements of a gateway that asks below [`HELD_PATH`].
const REQUIRE_SCOPE: HeaderName = HeaderName::from_static("x-keyward-require-scope");
const REQUIRE_ORG: HeaderName = HeaderName::from_static("x-keyward-require-org");

/// The path of the endpoint.
pub const FORWARD_PATH: &str = "/auth/forward";
/// The prefix for gateways that append the path of the client's request; any other path below [`FORWARD_PATH`] is 404.
const HELD_PATH: &str = "/auth/forward/held";

pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(forward_auth)
        // Gateways repeat the method of the client.
        .route(FORWARD_PATH, web::route().to(forward_auth_any_method))
        .route(&format!("{FORWARD_PATH}/"), web::route().to(forward_auth_any_method))
        // Envoy appends the path and the query of the client's request.
        .route(HELD_PATH, web::route().to(forward_auth_held))
        .route(&format!("{HELD_PATH}/{{path:.*}}"), web::route().to(forward_auth_held));
}

/// Accepts the characters of scopes (RFC 6749 §3.3) and spaces. The challenge of an error response contains the text as a
/// quoted string.
fn scope_list(text: String) -> Result<String, Invalid> {
    let is_allowed = |b: u8| (b.is_ascii_graphic() && b != b'"' && b != b'\\') || b == b' ';
    if text.bytes().all(is_allowed) {
        Ok(text)
    } else {
        Err(Invalid::new(
            FieldCode::InvalidFormat,
            "Use scopes, separated by spaces.",
        ))
    }
}

crate::text_type! {
    /// Scopes, separated by spaces.
    pub struct ScopeList(0..=4096) by scope_list, example "data:read data:write"
}

request_type! {
    /// Requirements on the credential.
    #[derive(Default, utoipa::IntoParams)]
    #[into_params(parameter_in = Query)]
    pub struct ForwardAuthQuery {
        /// Required scopes, separated by spaces; all of them are required.
        #[param(required = false, nullable = false)]
        #[param(value_type = String)]
        pub scope: Option<ScopeList>,
        /// Id of the organisation in which the credential must act.
        #[param(required = false, nullable = false)]
        pub org: Option<String>,
    }
}

/// Check a request for a gateway
///
/// Returns whether a gateway may pass on a request of its client, whose `Authorization` header it sends. For nginx
/// `auth_request`, Caddy `forward_auth`, Traefik ForwardAuth and similar, with any method. 204 means yes; the
/// `X-Keyward-*` response headers identify the client. 401 and 403 contain the challenge for the client. Gateways must
/// remove `X-Keyward-*` headers that clients send. Accepts a session or an API key: an API key needs the required scopes, a
/// session the role that they require. Counts as a use of the API key.
///
/// Envoy (ext_authz) appends path and query of the client's request to its own prefix. It uses `/auth/forward/held` as
/// the prefix. There the query is ignored, because the client chooses it, and the status is 200 instead of 204. The gateway
/// states its requirements in the request headers `X-Keyward-Require-Scope` and `X-Keyward-Require-Org`, which mean the same as
/// `scope` and `org`. If a header occurs several times, every value applies, so a client that adds one loosens nothing.
#[utoipa::path(
    operation_id = "forwardAuth", tag = "Verification", security(("session" = []), ("api_key" = [])),
    params(ForwardAuthQuery),
    responses((status = 204, description = "The request may pass", headers(
        ("X-Keyward-User" = String, description = "Id of the user"),
        ("X-Keyward-Username" = String, description = "Unique name of the user, if they have one"),
        ("X-Keyward-Org" = String, description = "Id of the organisation in which the credential acts, if any"),
        ("X-Keyward-Org-Role" = String, description = "Role of the user in that organisation"),
        ("X-Keyward-Scopes" = String, description = "Scopes the API key may use now, separated by spaces"),
        ("X-Keyward-Key-Id" = String, description = "Id of the API key"),
        ("X-Keyward-Credential" = String, description = "`session` or `api_key`"),
    ))),
)]
#[get("/auth/forward")]
async fn forward_auth(
    caller: Caller<AnyCredential>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let query: ForwardAuthQuery = input.query()?;
    authorize_by_query(&state, &caller, &query)
}

async fn forward_auth_any_method(
    caller: Caller<AnyCredential>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let query: ForwardAuthQuery = input.query()?;
    authorize_by_query(&state, &caller, &query)
}

/// Envoy accepts 200 only. The query is ignored because it comes from the client.
async fn forward_auth_held(
    caller: Caller<AnyCredential>,
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    // A value that is not ASCII is no id and no scope, so that it refuses instead of being left out.
    let values = |name| -> Vec<&str> {
        let all = request.headers().get_all(name);
        all.map(|value| value.to_str().unwrap_or("invalid")).collect()
    };
    let scopes = ScopeList::try_from(values(REQUIRE_SCOPE).join(" ")).map_err(|invalid| {
        let detail = format!("{REQUIRE_SCOPE}: {}", invalid.detail);
        Error::with_detail(Code::MalformedRequest, detail)
    })?;
    let mut response = authorize(&state, &caller, &values(REQUIRE_ORG), scopes.as_str())?;
    *response.status_mut() = StatusCode::OK;
    Ok(response)
}

fn acts_in(caller: &Caller<AnyCredential>, org_id: &str) -> bool {
    caller
        .active_org
        .is_some_and(|org| org.org_id.to_string().eq_ignore_ascii_case(org_id))
}

fn authorize_by_query(
    state: &State,
    caller: &Caller<AnyCredential>,
    query: &ForwardAuthQuery,
) -> Result<HttpResponse, Error> {
    let scopes = query.scope.as_ref().map_or("", ScopeList::as_str);
    authorize(state, caller, query.org.as_deref().as_slice(), scopes)
}

fn authorize(
    state: &State,
    caller: &Caller<AnyCredential>,
    orgs: &[&str],
    scopes: &str,
) -> Result<HttpResponse, Error> {
    if !orgs.iter().all(|org_id| acts_in(caller, org_id)) {
        return Err(Error::new(Code::ForbiddenRole));
    }
    let missing = missing_scopes(state, caller, scopes);
    if !missing.is_empty() {
        return Err(Error::insufficient_scope(missing.join(" ")));
    }
    Ok(identity_headers(caller))
}

fn missing_scopes<'a>(state: &State, caller: &Caller<AnyCredential>, required: &'a str) -> Vec<&'a str> {
    let has = |scope: &str| match &caller.credential {
        Credential::ApiKey { scopes, .. } => scopes.iter().any(|granted| granted == scope),
        Credential::Session { .. } => state.scopes.allows(scope, &caller.scope_context()),
    };
    required
        .split(' ')
        .filter(|scope| !scope.is_empty() && !has(scope))
        .collect()
}

fn identity_headers(caller: &Caller<AnyCredential>) -> HttpResponse {
    let mut response = HttpResponse::NoContent();
    let set = |response: &mut HttpResponseBuilder, name: &'static str, value: &str| {
        response.insert_header((HeaderName::from_static(name), value));
    };
    set(&mut response, "x-keyward-user", &caller.user_id.to_string());
    if let Some(username) = &caller.username {
        set(&mut response, "x-keyward-username", username);
    }
    if let Some(org) = caller.active_org {
        set(&mut response, "x-keyward-org", &org.org_id.to_string());
        set(&mut response, "x-keyward-org-role", org.role.as_str());
    }
    match &caller.credential {
        Credential::ApiKey { id, scopes, .. } => {
            if !scopes.is_empty() {
                set(&mut response, "x-keyward-scopes", &scopes.join(" "));
            }
            set(&mut response, "x-keyward-key-id", &id.to_string());
            set(&mut response, "x-keyward-credential", "api_key");
        }
        Credential::Session { .. } => set(&mut response, "x-keyward-credential", "session"),
    }
    response.finish()
}
