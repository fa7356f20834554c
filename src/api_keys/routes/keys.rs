//! `/scopes`, `/api-keys`: see, change, delete. What shows a secret is in `secret_routes`, the list in `list_routes`.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::lifecycle;
use super::list;
use super::org_keys;
use super::usage;
use crate::api_keys::list::Tenant;
use crate::api_keys::model::{AllowedIps, KeyIds, KeyName, KeyRecord, Remark, Scopes};
use crate::api_keys::operations::{self, Changes};
use crate::auth::{AnyApiKey, Caller, Credential, KeysRead, OrgRole, Password, Session};
use crate::credential_cache::{KeyStatus, SuspensionReason};
use crate::db::Tx;
use crate::error::Error;
use crate::http::{ApiResponse, Idempotent, Path, RequestInput};
use crate::request_type;
use crate::state::State;
use crate::users;
use crate::values::Precondition;
use crate::values::ids::{ApiKeyId, Id as _, OrgId};
use crate::values::{Patch, Timestamp};

/// The routes of this slice.
pub fn router(routes: &mut ServiceConfig) {
    list::router(routes);
    routes
        .service(list_scopes)
        .service(get_current_api_key)
        .service(delete_current_api_key)
        .service(get_api_key)
        .service(update_api_key)
        .service(delete_api_key)
        .service(delete_api_keys);
    lifecycle::router(routes);
    org_keys::router(routes);
    usage::router(routes);
}

/// Something a key can be allowed to do.
#[derive(Serialize, ToSchema)]
#[schema(as = Scope)]
pub struct ScopeResponse {
    /// Its name.
    #[schema(example = "data:read")]
    pub name: String,
    /// The service it is about.
    pub service: String,
    /// One sentence for people.
    pub description: String,
    /// The least role in the key's organisation; null where a personal key may have it too.
    pub min_role: Option<OrgRole>,
}

/// Every scope there is.
#[derive(Serialize, ToSchema)]
pub struct ScopeListResponse {
    /// Keyward's own first.
    pub data: Vec<ScopeResponse>,
    /// Always null: there are never more.
    pub next_cursor: Option<String>,
}

/// List scopes
///
/// What API keys can be allowed to do on this platform.
#[utoipa::path(
    operation_id = "listScopes", tag = "API keys",
    responses((status = 200, description = "The catalogue", body = ScopeListResponse)),
)]
#[get("/scopes")]
async fn list_scopes(input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    input.none().await?;
    let data = state.scopes.all().iter().map(|scope| ScopeResponse {
        name: scope.name.clone(),
        service: scope.service.clone(),
        description: scope.description.clone(),
        min_role: scope.min_role,
    });
    ApiResponse::ok(&ScopeListResponse {
        data: data.collect(),
        next_cursor: None,
    })
}

/// An organisation in passing.
#[derive(Clone, Serialize, ToSchema)]
pub struct ApiKeyOrgResponse {
    /// The organisation.
    pub id: OrgId,
    /// Its name.
    pub name: String,
    /// Its unique short name.
    pub slug: String,
}

/// An API key; its secret was shown when it was made.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub struct ApiKeyResponse {
    /// The key.
    pub id: ApiKeyId,
    /// What it is called.
    pub name: String,
    /// What its secret begins with.
    #[schema(example = "kw_a1B2")]
    pub hint: String,
    /// The organisation it acts in; null for a personal key.
    pub org: Option<ApiKeyOrgResponse>,
    /// What it was given.
    pub scopes: Vec<String>,
    /// What of that it may use, given what its owner may do now.
    pub effective_scopes: Vec<String>,
    /// What its owner notes about it.
    pub remark: Option<String>,
    /// Whether it works.
    pub status: KeyStatus,
    /// Why it is suspended.
    pub status_reason: Option<SuspensionReason>,
    /// Whether its owner has it switched on.
    pub enabled: bool,
    /// Networks it may be used from; empty: all.
    #[schema(example = json!(["203.0.113.0/24"]))]
    pub allowed_ips: Vec<String>,
    /// When it expires; null: never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used; written down some seconds later.
    pub last_used_at: Option<Timestamp>,
    /// From where.
    pub last_used_ip: Option<String>,
    /// Until when the secret before the last rotation works.
    pub previous_secret_expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl ApiKeyResponse {
    /// A key as it stands now.
    pub fn new(record: KeyRecord, now: chrono::DateTime<chrono::Utc>, state: &State) -> Self {
        let (status, status_reason) = record.status(now);
        let effective_scopes = record.effective_scopes(&state.scopes);
        let mut key = record.key;
        if let Some((at, ip)) = state
            .key_usage
            .last_use(key.id)
            .map(|last| (last.at, last.ip))
            .filter(|(at, _)| Some(*at) > key.last_used_at)
        {
            (key.last_used_at, key.last_used_ip) = (Some(at), ip.map(ipnet::IpNet::from));
        }
        let org = key
            .org_id
            .zip(record.org)
            .map(|(id, (name, slug))| ApiKeyOrgResponse { id, name, slug });
        Self {
            id: key.id,
            name: key.name,
            hint: key.hint,
            org,
            scopes: key.scopes,
            effective_scopes,
            remark: key.remark,
            status,
            status_reason,
            enabled: key.disabled_at.is_none(),
            allowed_ips: key.allowed_ips.iter().map(ToString::to_string).collect(),
            expires_at: key.expires_at.map(Timestamp),
            last_used_at: key.last_used_at.map(Timestamp),
            last_used_ip: key.last_used_ip.map(|ip| ip.addr().to_string()),
            previous_secret_expires_at: record.previous_secret_ends_at.map(Timestamp),
            created_at: key.created_at.into(),
            updated_at: key.updated_at.into(),
        }
    }

    /// The answer that shows one.
    pub fn answer(record: KeyRecord, now: chrono::DateTime<chrono::Utc>, state: &State) -> Result<ApiResponse, Error> {
        let version = record.key.version;
        Ok(ApiResponse::ok(&Self::new(record, now, state))?.etag(version))
    }
}

/// See an API key
#[utoipa::path(
    operation_id = "getApiKey", tag = "API keys", security(("session" = []), ("api_key" = ["keys:read"])),
    params(("api_key_id" = ApiKeyId, Path, description = "The key")),
    responses((status = 200, description = "The key", body = ApiKeyResponse)),
)]
#[get("/api-keys/{api_key_id}")]
async fn get_api_key(
    caller: Caller<KeysRead>,
    Path(id): Path<ApiKeyId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let (now, tenant) = (caller.now(), Tenant::of(&caller));
    let record = state
        .db
        .read(now, move |tx| operations::find_of(tx, tenant, id))
        .await?;
    input.none().await?;
    ApiKeyResponse::answer(record, now, &state)
}

fn own_id<P>(caller: &Caller<P>) -> Result<ApiKeyId, Error> {
    match &caller.credential {
        Credential::ApiKey { id, .. } => Ok(*id),
        Credential::Session { .. } => Err(Error::not_found()),
    }
}

/// Which key is this
///
/// The key that calls; it takes no scope.
#[utoipa::path(
    operation_id = "getCurrentApiKey", tag = "API keys", security(("api_key" = [])),
    responses((status = 200, description = "The key that calls", body = ApiKeyResponse)),
)]
#[get("/api-keys/current")]
async fn get_current_api_key(
    caller: Caller<AnyApiKey>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    let (now, user_id, id) = (caller.now(), caller.user_id, own_id(&caller)?);
    let record = state.db.read(now, move |tx| operations::find(tx, user_id, id)).await?;
    ApiKeyResponse::answer(record, now, &state)
}

/// End this key
///
/// The key that calls is deleted for good: the answer to a leak, for whoever finds a key. Its owner is told.
#[utoipa::path(
    operation_id = "deleteCurrentApiKey", tag = "API keys", security(("api_key" = [])),
    responses((status = 204, description = "The key is gone")),
)]
#[delete("/api-keys/current")]
async fn delete_current_api_key(
    caller: Caller<AnyApiKey>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    let id = own_id(&caller)?;
    state
        .db
        .transaction(caller.now(), move |tx| {
            operations::revoke(tx, &caller, Tenant::Owner(caller.user_id), id)
        })
        .await?;
    Ok(ApiResponse::no_content())
}

request_type! {
    /// What to change of a key; what is absent stays.
    #[derive(ToSchema)]
    pub struct UpdateApiKeyRequest {
        /// What it is called.
        #[schema(value_type = KeyName, required = false)]
        pub name: Patch<KeyName>,
        /// A note; null for none.
        #[schema(value_type = Option<Remark>, required = false)]
        pub remark: Patch<Option<Remark>>,
        /// Whether it is switched on.
        #[schema(value_type = bool, required = false)]
        pub enabled: Patch<bool>,
        /// All its scopes; more than it has take a fresh password.
        #[schema(value_type = Vec<String>, required = false, max_items = 100)]
        pub scopes: Patch<Scopes>,
        /// Networks it may be used from, in CIDR notation; empty: all.
        #[schema(value_type = Vec<String>, required = false, max_items = 100)]
        pub allowed_ips: Patch<AllowedIps>,
        /// The present password, where it was not shown in the last ten minutes.
        #[schema(nullable = false)]
        pub current_password: Option<Password>,
    }
}

/// Change an API key
///
/// A merge patch. Scopes can be taken away at any time; adding some takes the password, or that it was shown in the last
/// ten minutes.
#[utoipa::path(
    operation_id = "updateApiKey", tag = "API keys", security(("session" = [])),
    params(("api_key_id" = ApiKeyId, Path, description = "The key")), request_body = UpdateApiKeyRequest,
    responses((status = 200, description = "The key as it is now", body = ApiKeyResponse)),
)]
#[patch("/api-keys/{api_key_id}")]
async fn update_api_key(
    caller: Caller<Session>,
    Path(id): Path<ApiKeyId>,
    precondition: Precondition,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let (now, user_id) = (caller.now(), caller.user_id);
    let find = move |tx: &mut Tx<'_>| operations::find(tx, user_id, id);
    let present = state.db.read(now, find).await?;
    let mut members = input.merge_patch_fields().await?;
    let scopes = members.look_at::<Patch<Scopes>>("scopes").and_then(Patch::set);
    let Scopes(scopes) = scopes.unwrap_or_default();
    members.refuse_all(operations::additions_not_allowed(&state.scopes, &present, &scopes));
    let request: UpdateApiKeyRequest = members.read()?;
    let widens = operations::widens(&present, &scopes);
    let confirmed = widens || request.current_password.is_some();
    if confirmed {
        users::require_fresh(&state, &caller, request.current_password).await?;
    }
    let changes = Changes {
        name: request.name,
        remark: request.remark,
        enabled: request.enabled,
        scopes: map(request.scopes, Scopes::deduplicated),
        allowed_ips: map(request.allowed_ips, |AllowedIps(list)| list),
    };
    let catalogue = state.scopes.clone();
    let record = state
        .db
        .transaction(now, move |tx| {
            operations::update(tx, &catalogue, &caller, id, (changes, &precondition, confirmed))
        })
        .await?;
    ApiKeyResponse::answer(record, now, &state)
}

fn map<T, U>(change: Patch<T>, to: impl FnOnce(T) -> U) -> Patch<U> {
    match change {
        Patch::Keep => Patch::Keep,
        Patch::Set(value) => Patch::Set(to(value)),
    }
}

/// Delete an API key
///
/// For good: it cannot be undone.
#[utoipa::path(
    operation_id = "deleteApiKey", tag = "API keys", security(("session" = [])),
    params(("api_key_id" = ApiKeyId, Path, description = "The key")),
    responses((status = 204, description = "The key is gone")),
)]
#[delete("/api-keys/{api_key_id}")]
async fn delete_api_key(
    caller: Caller<Session>,
    Path(id): Path<ApiKeyId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let (now, user_id) = (caller.now(), caller.user_id);
    state
        .db
        .read(now, move |tx| operations::find(tx, user_id, id).map(|_| ()))
        .await?;
    input.none().await?;
    state
        .db
        .transaction(now, move |tx| {
            let deleted = operations::delete(tx, &caller, &[id])?;
            deleted.first().map(|_| ()).ok_or_else(Error::not_found)
        })
        .await?;
    Ok(ApiResponse::no_content())
}

request_type! {
    /// Which keys to delete.
    #[derive(ToSchema)]
    pub struct DeleteApiKeysRequest {
        /// Their ids.
        #[schema(value_type = Vec<String>, min_items = 1, max_items = 100)]
        pub ids: KeyIds,
    }
}

/// What became of the keys that were to be deleted.
#[derive(Serialize, ToSchema)]
pub struct DeletedApiKeysResponse {
    /// Those that are gone now.
    pub deleted: Vec<String>,
    /// Those that the caller has not.
    pub not_found: Vec<String>,
}

/// Delete several API keys
///
/// For good: it cannot be undone. Those that the caller has not are named, and hinder nothing.
#[utoipa::path(
    operation_id = "deleteApiKeys", tag = "API keys", security(("session" = [])), request_body = DeleteApiKeysRequest,
    responses((status = 200, description = "What became of each", body = DeletedApiKeysResponse)),
)]
#[post("/api-keys/delete")]
async fn delete_api_keys(
    caller: Caller<Session>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let DeleteApiKeysRequest { ids: KeyIds(ids) } = input.json().await?;
    idempotent
        .transaction(&state.db, caller.now(), move |tx| {
            let wanted: Vec<ApiKeyId> = ids.iter().filter_map(|id| ApiKeyId::parse(id)).collect();
            let gone = operations::delete(tx, &caller, &wanted)?;
            let mut answer = DeletedApiKeysResponse {
                deleted: Vec::new(),
                not_found: Vec::new(),
            };
            for id in ids {
                // In the one spelling, so that what was sent in two is named once.
                let parsed = ApiKeyId::parse(&id);
                let is_gone = parsed.is_some_and(|id| gone.contains(&id));
                let id = parsed.map_or(id, |id| id.to_string());
                let list = if is_gone {
                    &mut answer.deleted
                } else {
                    &mut answer.not_found
                };
                if !list.contains(&id) {
                    list.push(id);
                }
            }
            ApiResponse::ok(&answer)
        })
        .await
}
