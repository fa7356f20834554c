//! The OpenAPI document: collected from the routes, and completed with what all operations have in common.

use actix_web::App;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::server::Server;
use utoipa::openapi::{OpenApi, PathItem, Ref, RefOr, Required, ResponseBuilder};
use utoipa::{OpenApi as _, PartialSchema as _, ToSchema as _};
use utoipa_actix_web::AppExt as _;

use super::routes;
use crate::config::Config;
use crate::error::Code;
use crate::http::ProblemResponse;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Keyward",
        description = "Manages user accounts, organisations and API keys, and verifies credentials for other services.\n\n\
            **Credentials.** Users have sessions: `POST /auth/login` returns an access token. Machines have API keys: \
            `POST /api-keys` returns one. Send either as `Authorization: Bearer <credential>`.\n\n\
            **Errors.** Every error is `application/problem+json`. `code` is stable and machine-readable, `detail` describes what is \
            wrong and what to do, and `GET /problems/{code}` explains the code.\n\n\
            **Lists.** Send the `next_cursor` of a page as `cursor` to get the next page.\n\n\
            **Retries.** Send an `Idempotency-Key` with a POST: if it is repeated with the same key, the first response is \
            returned again and there is no second effect. At most 1,000 responses (4 MiB) are kept for a user; with more the \
            response is 429.\n\n\
            **Limits.** A user can make 600 requests in 5 minutes that change something, unless the deployment sets another \
            number. Every response to an authenticated request has `RateLimit-Policy` and `RateLimit` with what is left. Beyond a \
            limit of rate the response is 429, while the service is overloaded 503, both with `Retry-After`. Verifying credentials \
            and ending sessions is not limited.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "Sessions", description = "Register, log in, refresh and end sessions"),
        (name = "Profile", description = "The account of the caller: profile, avatar, personal data"),
        (name = "Password", description = "Change or reset the password"),
        (name = "Email", description = "Change the e-mail address"),
        (name = "API keys", description = "Create and manage API keys, with which machines act for a user"),
        (name = "Organisations", description = "Create and manage organisations, and switch the active organisation of a session"),
        (name = "Members", description = "Members of an organisation and their roles"),
        (name = "Invitations", description = "Invite people to an organisation by e-mail, and accept or decline invitations"),
        (name = "Join requests", description = "Request to join an organisation, and decide about such requests"),
        (name = "Notifications", description = "Notifications of the caller, and which of them are also sent by e-mail"),
        (name = "Verification", description = "Verify credentials, for gateways and other services"),
        (name = "Administration", description = "Manage users, send announcements and read the audit log, for platform admins"),
        (name = "Operations", description = "Probes, capabilities and documentation"),
    ),
)]
struct Base;

pub fn document(config: &Config) -> OpenApi {
    let (_, mut document) = App::new()
        .into_utoipa_app()
        .openapi(Base::openapi())
        .configure(routes::root)
        .configure(|routes| routes::api(routes, config))
        .split_for_parts();
    document.servers = Some(vec![Server::new(config.public_url().as_str())]);
    let components = document.components.get_or_insert_default();
    let mut schemas = Vec::new();
    ProblemResponse::schemas(&mut schemas);
    components.schemas.extend(schemas);
    // utoipa does not collect the schemas of path parameters.
    components.schemas.extend(crate::values::ids::schemas());
    components
        .schemas
        .insert("Problem".to_owned(), ProblemResponse::schema());
    for (name, schema) in &mut components.schemas {
        if !name.ends_with("Request") && !name.starts_with("Problem") {
            require_all(schema);
        }
    }
    let bearer = |description: &str| {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some(description.to_owned());
        RefOr::T(SecurityScheme::Http(scheme))
    };
    let session = bearer("Access token of a session, from `POST /auth/login`.");
    let api_key = bearer("API key, from `POST /api-keys`.");
    components.security_schemes.insert("session".to_owned(), session);
    components.security_schemes.insert("api_key".to_owned(), api_key);
    for path in document.paths.paths.values_mut() {
        for operation in operations(path) {
            add_problem_response(operation);
        }
        let needs_credential = |operation: &Operation| operation.security.is_some();
        let is_excluded = |operation: &Operation| {
            let id = operation.operation_id.as_deref();
            id.is_some_and(|id| NOT_IDEMPOTENT.contains(&id))
        };
        let is_idempotent = |operation: &&mut Operation| needs_credential(operation) && !is_excluded(operation);
        if let Some(operation) = path.post.as_mut().filter(is_idempotent) {
            let text = "Unique key of this request, 1 to 255 visible ASCII characters. If the request is repeated with the same \
                        key within 24 hours, the first response is returned again and there is no second effect.";
            add_header(operation, "Idempotency-Key", text);
        }
        if let Some(operation) = path.patch.as_mut() {
            let text = "`ETag` of the version that the change is based on. If the resource has another version by now, nothing is \
                        changed and the response is 412.";
            add_header(operation, "If-Match", text);
        }
    }
    document
}

/// POST operations without `Idempotency-Key`. The result of the first two must be current; that of the next two is an access
/// token, which must not be stored; after the last one there is no session that could repeat it.
const NOT_IDEMPOTENT: [&str; 5] = [
    "verifyApiKey",
    "introspectToken",
    "reauthenticate",
    "switchOrg",
    "logOut",
];

/// Every field of a response is always present.
fn require_all(schema: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::Object(object)) = schema {
        object.required = object.properties.keys().cloned().collect();
    }
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem {
        get,
        put,
        post,
        delete,
        patch,
        ..
    } = path;
    [get, put, post, delete, patch].into_iter().flatten()
}

/// Every operation can return a problem.
fn add_problem_response(operation: &mut Operation) {
    let problem = || {
        ContentBuilder::new()
            .schema(Some(RefOr::Ref(Ref::from_schema_name("Problem"))))
            .build()
    };
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let response = ResponseBuilder::new()
        .description(format!("A problem; `code` is one of {}.", codes.join(", ")))
        .content("application/problem+json", problem())
        .build();
    operation
        .responses
        .responses
        .insert("default".to_owned(), RefOr::T(response));
}

/// Adds an optional header, unless the route documents it itself.
fn add_header(operation: &mut Operation, name: &str, description: &str) {
    let parameters = operation.parameters.get_or_insert_default();
    let is_documented = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(known) if known.name == name);
    if !parameters.iter().any(is_documented) {
        let header = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(description))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .build();
        parameters.push(RefOr::T(header));
    }
}
