//! The OpenAPI document: collected from the routes, then completed with what holds for all of them.

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
        description = "Accounts, organisations and API keys. People use sessions (access tokens from `POST /auth/login`), machines \
            use API keys; both go into `Authorization: Bearer`. Every refusal is `application/problem+json`; its `code` is \
            explained at `/problems/{code}`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "Sessions", description = "Sign up, log in, refresh, log out"),
        (name = "Profile", description = "Who am I"),
        (name = "Password", description = "Change and reset"),
        (name = "Email", description = "Change of address"),
        (name = "API keys", description = "Credentials for machines"),
        (name = "Organisations", description = "Organisations, and which one a session acts in"),
        (name = "Members", description = "Who is in an organisation, as what"),
        (name = "Invitations", description = "Asking people in"),
        (name = "Join requests", description = "Asking to be let in"),
        (name = "Notifications", description = "The notification centre"),
        (name = "Verification", description = "For gateways and resource servers"),
        (name = "Administration", description = "For administrators of the platform"),
        (name = "Operations", description = "Probes and documentation"),
    ),
)]
struct Base;

/// The document of a deployment with these settings.
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
    // Ids stand in paths, too, from where their schemas are not collected.
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
    let session = bearer("The access token of a session, from `POST /auth/login`.");
    let api_key = bearer("An API key, from `POST /api-keys`.");
    components.security_schemes.insert("session".to_owned(), session);
    components.security_schemes.insert("api_key".to_owned(), api_key);
    for path in document.paths.paths.values_mut() {
        for operation in operations(path) {
            complete(operation);
        }
        let is_guarded = |operation: &Operation| operation.security.is_some();
        let is_momentary = |operation: &Operation| {
            let id = operation.operation_id.as_deref();
            id.is_some_and(|id| NOT_IDEMPOTENT.contains(&id))
        };
        let is_remembered = |operation: &&mut Operation| is_guarded(operation) && !is_momentary(operation);
        if let Some(operation) = path.post.as_mut().filter(is_remembered) {
            let text = "A name of your own for this request, 1 to 255 visible ASCII characters: repeated with it within 24 \
                        hours, it gets the first answer again and has no second effect.";
            add_header(operation, "Idempotency-Key", text);
        }
        if let Some(operation) = path.patch.as_mut() {
            let text = "The `ETag` that was read: if it is another by now, nothing changes, and the answer is 412.";
            add_header(operation, "If-Match", text);
        }
    }
    document
}

/// What is answered anew each time: the answer is good for the moment only, or is a token; or it ends the session that would
/// repeat it.
const NOT_IDEMPOTENT: [&str; 5] = [
    "verifyApiKey",
    "introspectToken",
    "reauthenticate",
    "switchOrg",
    "logOut",
];

/// Every member of an answer is always present.
fn require_all(schema: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::Object(object)) = schema {
        object.required = object.properties.keys().cloned().collect();
    }
}

/// The operations of a path.
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

/// Every operation can refuse, and all refusals look alike.
fn complete(operation: &mut Operation) {
    let problem = || {
        ContentBuilder::new()
            .schema(Some(RefOr::Ref(Ref::from_schema_name("Problem"))))
            .build()
    };
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let response = ResponseBuilder::new()
        .description(format!("Refused; `code` is one of {}.", codes.join(", ")))
        .content("application/problem+json", problem())
        .build();
    operation
        .responses
        .responses
        .insert("default".to_owned(), RefOr::T(response));
}

/// A header that every operation of a kind takes, and none needs.
fn add_header(operation: &mut Operation, name: &str, description: &str) {
    let parameters = operation.parameters.get_or_insert_default();
    let is_there = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(known) if known.name == name);
    if !parameters.iter().any(is_there) {
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
