//! Builds the state, starts the HTTP server and stops it.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_cors::Cors;
use actix_web::body::MessageBody;
use actix_web::dev::{ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::{Condition, Next, from_fn};
use actix_web::{App, web};
use secrecy::SecretString;
use utoipa::openapi::PathItem;
use utoipa_actix_web::service_config::ServiceConfig;
use utoipa_actix_web::{AppExt as _, scope};

use super::authenticate::authenticate;
use super::docs::{self, Document};
use super::keystore::Keystore;
use super::listener::{self, Admitter};
use super::{openapi, pages, routes};
use crate::auth::{PasswordHasher, PasswordPolicy, RefusedRequests, ScopeCatalog, Throttle};
use crate::clock::Clock;
use crate::config::Config;
use crate::credential_cache::CredentialCache;
use crate::db::Db;
use crate::error::Error;
use crate::gateway::FORWARD_PATH;
use crate::http::{
    ConcurrencyLimit, MAX_BODY_BYTES, PROTECTED_RESOURCE, ProblemRenderer, RateLimit, RequestContext, RouteTable,
    WriteLimit, fallback, with_request_context,
};
use crate::images::ImageResizer;
use crate::notifications::{NotificationStreams, TextCatalog};
use crate::sessions;
use crate::state::State;

/// Exports of personal data at a time; each holds at most three batches in memory and one connection of the database.
const MAX_EXPORTS: usize = 4;

/// Does not connect to the database yet.
pub fn build_state(
    config: Config,
    database_url: &SecretString,
    keystore: Keystore,
    clock: Clock,
) -> Result<State, Error> {
    let db = Db::new(database_url, config.db_pool_size)
        .with_listen_url(config.db_listen_url.as_ref())
        .with_rate_limits(config.rate_limits_enabled());
    Ok(State {
        credential_cache: Arc::new(CredentialCache::new(Arc::clone(db.invalidation_log()))),
        key_usage: Arc::default(),
        refused_requests: RefusedRequests::default(),
        db,
        clock,
        secret: keystore.secret,
        tokens: Arc::new(keystore.tokens),
        hasher: PasswordHasher::new(&config)?,
        throttle: Throttle {
            enabled: config.rate_limits_enabled(),
        },
        rate_limit: RateLimit::new(config.rate_limits_enabled()),
        write_limit: WriteLimit::new(config.rate_limits_enabled().then_some(config.write_limit)),
        texts: Arc::new(TextCatalog::new().map_err(Error::internal)?),
        scopes: Arc::new(ScopeCatalog::load(config.scopes_file.as_deref()).map_err(Error::internal)?),
        policy: PasswordPolicy::new(&config),
        image_resizer: ImageResizer::default(),
        exports: ConcurrencyLimit::new("exports", 1, MAX_EXPORTS),
        draining: Arc::new(AtomicBool::new(false)),
        config: Arc::new(config),
    })
}

pub struct RunningServer {
    /// Stops the server.
    pub handle: ServerHandle,
    /// Resolves when the server has stopped.
    pub server: actix_web::dev::Server,
}

pub fn start(listener: TcpListener, state: State) -> std::io::Result<RunningServer> {
    let config = Arc::clone(&state.config);
    let document = openapi::document(&config);
    let table = web::Data::new(route_table(&document, &config));
    let document = web::Data::new(Document::new(document.to_json().unwrap_or_default()));
    let request_context = web::Data::new(RequestContext {
        clock: state.clock.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        problems: ProblemRenderer::new(&config.public_url()),
        https: config.public_url().is_https(),
        forward_path: format!("{}{FORWARD_PATH}", config.base_path),
    });
    state.db.listen_for_changes();
    let (db, secret) = (web::Data::new(state.db.clone()), web::Data::new(state.secret.clone()));
    let write_limit = web::Data::new(state.write_limit.clone());
    let streams = web::Data::new(NotificationStreams::new(state.clone(), sessions::find_live));
    let state = web::Data::new(state);
    let workers = match config.workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        workers => workers.into(),
    };
    let admitter = Admitter::new(&config, request_context.problems.clone(), workers);
    let app = move || {
        let app = App::new()
            .app_data(state.clone())
            .app_data(request_context.clone())
            .app_data(streams.clone())
            .app_data(db.clone())
            .app_data(write_limit.clone())
            .app_data(secret.clone())
            .app_data(table.clone())
            .app_data(document.clone())
            .app_data(web::PayloadConfig::new(MAX_BODY_BYTES))
            .wrap(from_fn(authenticate))
            .wrap(Condition::new(!config.cors_origins.is_empty(), cors(&config)))
            .wrap(Condition::new(
                !config.cors_origins.is_empty(),
                from_fn(without_credentials_for_others),
            ))
            .wrap(from_fn(with_request_context))
            .into_utoipa_app()
            .configure(routes::root);
        let api = |api: &mut ServiceConfig| routes::api(api, &config);
        // No scope without a base path: it would be a second router for every request.
        let app = match config.base_path.as_str() {
            "" => app.configure(api),
            base_path => app.service(scope(base_path).configure(api)),
        };
        app.into_app().default_service(web::to(fallback))
    };
    let server = listener::serve(listener, workers, admitter, app)?;
    Ok(RunningServer {
        handle: server.handle(),
        server,
    })
}

/// Lets `/readyz` return 503 for the duration `drain`, so that load balancers stop sending requests. Then stops the server after
/// the requests in progress.
pub async fn stop(state: &State, handle: ServerHandle, drain: Duration) {
    state.draining.store(true, Ordering::Relaxed);
    tokio::time::sleep(drain).await;
    handle.stop(true).await;
}

/// Allows the origins in `KEYWARD_CORS_ORIGINS`, with credentials for the refresh cookie.
fn cors(config: &Config) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
        .allowed_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            header::HeaderName::from_static("idempotency-key"),
            header::HeaderName::from_static("x-request-id"),
            header::HeaderName::from_static("last-event-id"),
        ])
        .expose_headers([
            header::ETAG,
            header::LOCATION,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            header::HeaderName::from_static("idempotency-replayed"),
            header::HeaderName::from_static("x-request-id"),
            header::HeaderName::from_static("ratelimit"),
            header::HeaderName::from_static("ratelimit-policy"),
        ])
        .supports_credentials()
        .block_on_origin_mismatch(false)
        .max_age(600);
    config
        .cors_origins
        .iter()
        .fold(cors, |cors, origin| cors.allowed_origin(origin))
}

/// actix-cors sends `Access-Control-Allow-Credentials` to origins that are not listed, too.
async fn without_credentials_for_others<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let mut response = next.call(request).await?;
    if !response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        response.headers_mut().remove(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
    }
    Ok(response)
}

/// The methods of every path, including those that are not in the document.
fn route_table(document: &utoipa::openapi::OpenApi, config: &Config) -> RouteTable {
    let base_path = &config.base_path;
    let mut paths: Vec<(String, Vec<String>)> = document
        .paths
        .paths
        .iter()
        .map(|(path, item)| {
            let path = if routes::is_at_root(path) {
                path.clone()
            } else {
                format!("{base_path}{path}")
            };
            (path, methods(item))
        })
        .collect();
    let pages = pages::paths(config);
    for path in pages.iter().map(String::as_str).chain(docs::PATHS) {
        paths.push((format!("{base_path}{path}"), vec!["GET".to_owned()]));
    }
    let path = config.public_url().path();
    if !path.is_empty() {
        paths.push((format!("{PROTECTED_RESOURCE}{path}"), vec!["GET".to_owned()]));
    }
    RouteTable::new(paths.iter().map(|(path, methods)| (path.as_str(), methods.clone())))
}

fn methods(item: &PathItem) -> Vec<String> {
    [
        ("GET", &item.get),
        ("PUT", &item.put),
        ("POST", &item.post),
        ("DELETE", &item.delete),
        ("PATCH", &item.patch),
    ]
    .into_iter()
    .filter(|(_, operation)| operation.is_some())
    .map(|(method, _)| method.to_owned())
    .collect()
}
