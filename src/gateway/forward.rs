//! `/auth/forward`: a gateway asks, with the headers of the request it holds, whether to let it through.

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;
use actix_web::{HttpResponse, HttpResponseBuilder, get, web};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::{AnyCredential, Caller, Credential};
use crate::error::{Code, Error, FieldCode, Invalid};
use crate::http::RequestInput;
use crate::request_type;
use crate::state::State;

/// Where, and below which path, gateways ask.
pub const FORWARD: &str = "/auth/forward";

pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(forward_auth)
        .route(FORWARD, web::route().to(forward_any))
        // One slash too many must not let more through.
        .route(&format!("{FORWARD}/"), web::route().to(forward_any))
        // Envoy puts the path of the request it holds behind the prefix it is given, and its query too.
        .route(
            &format!("{FORWARD}/{{prefix}}/{{path:.*}}"),
            web::route().to(forward_held),
        );
}

fn scope_list(text: String) -> Result<String, Invalid> {
    // RFC 6749 §3.3; nothing else goes into a challenge.
    let fits = |b: u8| (b.is_ascii_graphic() && b != b'"' && b != b'\\') || b == b' ';
    if text.bytes().all(fits) {
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
    /// What the credential must be good for.
    #[derive(utoipa::IntoParams)]
    #[into_params(parameter_in = Query)]
    pub struct ForwardAuthQuery {
        /// Scopes, separated by spaces; all are needed.
        #[param(required = false, nullable = false)]
        #[param(value_type = String)]
        pub scope: Option<ScopeList>,
        /// The organisation in which the credential must act, by its id.
        #[param(required = false, nullable = false)]
        pub org: Option<String>,
    }
}

/// Ask for a gateway
///
/// For nginx `auth_request`, Traefik ForwardAuth and their like, by any method: 204 lets the request through, and says in
/// `X-Keyward-*` headers who sends it; 401 and 403 carry the challenge for the client. Gateways must strip such headers from
/// what clients send.
///
/// Envoy (ext_authz) puts the path and the query of the client's request behind its own prefix. It asks below
/// `/auth/forward/held`: there the query counts for nothing, and 200 lets the request through.
#[utoipa::path(
    operation_id = "forwardAuth", tag = "Verification", security(("session" = []), ("api_key" = [])),
    params(ForwardAuthQuery),
    responses((status = 204, description = "Let it through", headers(
        ("X-Keyward-User" = String, description = "Id of the person"),
        ("X-Keyward-Username" = String, description = "Their unique name, if they have one"),
        ("X-Keyward-Org" = String, description = "Id of the organisation in which the credential acts, if it does"),
        ("X-Keyward-Org-Role" = String, description = "Their role there"),
        ("X-Keyward-Scopes" = String, description = "What an API key may do, separated by spaces"),
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
    answer(&state, &caller, &query)
}

async fn forward_any(
    caller: Caller<AnyCredential>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let query: ForwardAuthQuery = input.query()?;
    answer(&state, &caller, &query)
}

/// For Envoy, to which every answer but 200 is a refusal. The query is the client's own here, and says nothing about what is
/// needed: the gateway compares the headers.
async fn forward_held(caller: Caller<AnyCredential>, state: web::Data<State>) -> Result<HttpResponse, Error> {
    let nothing = ForwardAuthQuery { scope: None, org: None };
    let mut response = answer(&state, &caller, &nothing)?;
    *response.status_mut() = StatusCode::OK;
    Ok(response)
}

fn answer(state: &State, caller: &Caller<AnyCredential>, query: &ForwardAuthQuery) -> Result<HttpResponse, Error> {
    if let Some(org) = &query.org {
        let acts_there = caller
            .org
            .is_some_and(|acting| acting.org_id.to_string().eq_ignore_ascii_case(org));
        if !acts_there {
            return Err(Error::new(Code::ForbiddenRole));
        }
    }
    let needed = query.scope.as_ref().map_or("", ScopeList::as_str);
    let missing = missing_scopes(state, caller, needed);
    if !missing.is_empty() {
        return Err(Error::insufficient_scope(missing.join(" ")));
    }
    Ok(identified(caller))
}

fn missing_scopes<'a>(state: &State, caller: &Caller<AnyCredential>, needed: &'a str) -> Vec<&'a str> {
    let may = |scope: &str| match &caller.credential {
        Credential::ApiKey { scopes, .. } => scopes.iter().any(|granted| granted == scope),
        Credential::Session { .. } => state.scopes.allows(scope, &caller.scope_context()),
    };
    needed
        .split(' ')
        .filter(|scope| !scope.is_empty() && !may(scope))
        .collect()
}

fn identified(caller: &Caller<AnyCredential>) -> HttpResponse {
    let mut response = HttpResponse::NoContent();
    let set = |response: &mut HttpResponseBuilder, name: &'static str, value: &str| {
        response.insert_header((HeaderName::from_static(name), value));
    };
    set(&mut response, "x-keyward-user", &caller.user_id.to_string());
    if let Some(username) = &caller.username {
        set(&mut response, "x-keyward-username", username);
    }
    if let Some(acting) = caller.org {
        set(&mut response, "x-keyward-org", &acting.org_id.to_string());
        set(&mut response, "x-keyward-org-role", acting.role.as_str());
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
