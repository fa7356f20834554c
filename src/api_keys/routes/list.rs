//! `GET /api-keys` and `GET /api-keys/{id}`.

use actix_web::{get, web};

use super::response::ApiKeyResponse;
use crate::api_keys::filter::{Filter, Position, TenantScope};
use crate::api_keys::model::{Search, Sort};
use crate::api_keys::{operations, usage};
use crate::auth::{Caller, KeysRead};
use crate::credential_cache::KeyStatus;
use crate::error::Error;
use crate::http::{ApiResponse, Path, RequestInput};
use crate::request_type;
use crate::state::State;
use crate::values::ids::{ApiKeyId, OrgId};
use crate::values::{Cursors, IdRef, Page, PageQuery};

request_type! {
    /// Filters and order of the list.
    #[derive(utoipa::IntoParams)]
    #[into_params(parameter_in = Query)]
    pub struct ListApiKeysQuery {
        /// Id of a key, or a part of its name, case-insensitive.
        #[param(required = false, nullable = false, value_type = String)]
        q: Option<Search>,
        /// Only keys in this organisation.
        #[param(required = false, nullable = false, value_type = OrgId)]
        org_id: Option<IdRef<OrgId>>,
        /// Only keys with this status.
        #[param(required = false, nullable = false, inline)]
        status: Option<KeyStatus>,
        /// Order of the list; default: newest first.
        #[param(required = false, nullable = false, inline)]
        sort: Option<Sort>,
    }
}

/// List API keys
///
/// Returns the caller's keys, personal ones and those in organisations. An API key that acts in an organisation sees
/// only the keys there. Needs a session, or an API key with the scope `keys:read`.
#[utoipa::path(
    operation_id = "listApiKeys", tag = "API keys", security(("session" = []), ("api_key" = ["keys:read"])),
    params(PageQuery, ListApiKeysQuery),
    responses((status = 200, description = "A page of keys", body = Page<ApiKeyResponse>)),
)]
#[get("/api-keys")]
pub async fn list_api_keys(
    caller: Caller<KeysRead>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let (query, PageQuery { limit, cursor }): (ListApiKeysQuery, PageQuery) = input.query()?;
    let org_id = query.org_id.map(IdRef::id).transpose()?;
    if org_id.is_some_and(|org_id| caller.is_bound_elsewhere(org_id)) {
        return Err(Error::not_found());
    }
    let (now, user_id) = (caller.now(), caller.user_id);
    let tenant = TenantScope::own_keys_of(&caller);
    let (search, status) = (query.q.map(Search::into_string), query.status);
    let sort = query.sort.unwrap_or(Sort::NewestFirst);
    let list_name = format!("api_keys {tenant:?} {sort} {status:?} {org_id:?} {search:?}");
    let cursors = Cursors::new(&state.secret, list_name);
    let after: Option<Position> = cursors.read(cursor.as_deref())?;
    if sort == Sort::LastUsedAt {
        // The response includes uses that are only in memory; without a flush the order would disagree with it.
        usage::flush_before_read(&state).await;
    }
    let filter = Filter {
        org_id,
        search,
        status,
        sort,
        after,
        ..Filter::all(tenant, limit + 1)
    };
    let keys = state
        .db
        .read(now, move |tx| operations::list(tx, user_id, &filter))
        .await?;
    let page = cursors.page(keys, limit, |details| Position::of(details, sort))?;
    ApiResponse::ok(&page.map(|details| ApiKeyResponse::new(details, now, &state)))
}

/// Get an API key
///
/// Returns one of the caller's keys. An API key that acts in an organisation sees only the keys there. Needs a session,
/// or an API key with the scope `keys:read`.
#[utoipa::path(
    operation_id = "getApiKey", tag = "API keys", security(("session" = []), ("api_key" = ["keys:read"])),
    params(("api_key_id" = ApiKeyId, Path, description = "Id of the key")),
    responses((status = 200, description = "The key", body = ApiKeyResponse)),
)]
#[get("/api-keys/{api_key_id}")]
pub async fn get_api_key(
    caller: Caller<KeysRead>,
    Path(id): Path<ApiKeyId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let (now, tenant) = (caller.now(), TenantScope::own_keys_of(&caller));
    let details = state
        .db
        .read(now, move |tx| operations::find_in(tx, tenant, id))
        .await?;
    input.none().await?;
    ApiKeyResponse::ok(details, now, &state)
}
