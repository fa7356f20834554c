//! `/orgs/{id}/api-keys` and `/orgs/{id}/members/{id}/api-keys`: the keys in an organisation, for its owners and
//! admins.

use actix_web::{delete, get, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::response::ApiKeyResponse;
use crate::api_keys::filter::{Filter, Position, TenantScope};
use crate::api_keys::model::{KeyDetails, Sort};
use crate::api_keys::{operations, store};
use crate::auth::{Caller, Session};
use crate::error::Error;
use crate::http::{ApiResponse, Path, RequestInput};
use crate::orgs::{OrgMember, can, membership};
use crate::state::State;
use crate::values::ids::{ApiKeyId, OrgId, UserId};
use crate::values::{Cursors, Page, PageQuery};

/// The owner of an API key.
#[derive(Serialize, ToSchema)]
pub struct ApiKeyOwnerResponse {
    /// Id of the user.
    pub id: UserId,
    /// Unique name of the user.
    pub username: Option<String>,
    /// Display name of the user.
    pub nickname: Option<String>,
}

/// An API key with its owner.
#[derive(Serialize, ToSchema)]
#[schema(as = OrgApiKey)]
pub struct OrgApiKeyResponse {
    /// The key.
    #[serde(flatten)]
    pub key: ApiKeyResponse,
    /// Owner of the key.
    pub owner: ApiKeyOwnerResponse,
}

impl OrgApiKeyResponse {
    fn new(details: KeyDetails, now: DateTime<Utc>, state: &State) -> Self {
        let owner = ApiKeyOwnerResponse {
            id: details.key.user_id,
            username: details.owner.username.clone(),
            nickname: details.owner.nickname.clone(),
        };
        Self {
            key: ApiKeyResponse::new(details, now, state),
            owner,
        }
    }
}

/// A page of the tenant's keys. The permission of the caller has been checked before.
async fn list_page(
    caller: &Caller<Session>,
    input: RequestInput,
    state: &State,
    tenant: TenantScope,
) -> Result<ApiResponse, Error> {
    let page: PageQuery = input.query()?;
    let (now, limit) = (caller.now(), page.limit);
    let cursors = Cursors::new(&state.secret, format!("org_api_keys {tenant:?}"));
    let filter = Filter {
        after: cursors.read(page.cursor.as_deref())?,
        ..Filter::all(tenant, limit + 1)
    };
    let keys = state.db.read(now, move |tx| store::select(tx, &filter)).await?;
    let position = |details: &KeyDetails| Position::of(details, Sort::NewestFirst);
    let page = cursors.page(keys, limit, position)?;
    ApiResponse::ok(&page.map(|details| OrgApiKeyResponse::new(details, now, state)))
}

/// List the API keys of an organisation
///
/// Returns all keys that act in the organisation, with their owners, including suspended ones of former members. Needs
/// the role `admin` or `owner`.
#[utoipa::path(
    operation_id = "listOrgApiKeys", tag = "API keys", security(("session" = [])),
    params(("org_id" = OrgId, Path, description = "Id of the organisation"), PageQuery),
    responses((status = 200, description = "A page of keys", body = Page<OrgApiKeyResponse>)),
)]
#[get("/orgs/{org_id}/api-keys")]
pub async fn list_org_api_keys(
    caller: Caller<Session>,
    membership: OrgMember<can::ListOrgApiKeys>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    list_page(&caller, input, &state, TenantScope::Org(membership.org_id)).await
}

/// List the API keys of a member
///
/// Returns the member's keys in the organisation: those that stop working when the membership ends. Needs the role
/// `admin` or `owner`.
#[utoipa::path(
    operation_id = "listMemberApiKeys", tag = "API keys", security(("session" = [])),
    params(
        ("org_id" = OrgId, Path, description = "Id of the organisation"),
        ("user_id" = UserId, Path, description = "Id of the member"), PageQuery,
    ),
    responses((status = 200, description = "A page of keys", body = Page<OrgApiKeyResponse>)),
)]
#[get("/orgs/{org_id}/members/{user_id}/api-keys")]
pub async fn list_member_api_keys(
    caller: Caller<Session>,
    Path((org_id, user_id)): Path<(OrgId, UserId)>,
    _membership: OrgMember<can::ListMemberApiKeys>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    state
        .db
        .read(caller.now(), move |tx| membership::require(tx, org_id, user_id))
        .await?;
    list_page(&caller, input, &state, TenantScope::Member { org_id, user_id }).await
}

/// Revoke an API key of an organisation
///
/// Deletes a key that acts in the organisation, whichever member owns it; this cannot be undone. The owner of the key is
/// notified by e-mail. Needs the role `admin` or `owner`.
#[utoipa::path(
    operation_id = "deleteOrgApiKey", tag = "API keys", security(("session" = [])),
    params(
        ("org_id" = OrgId, Path, description = "Id of the organisation"),
        ("api_key_id" = ApiKeyId, Path, description = "Id of the key"),
    ),
    responses((status = 204, description = "The key is deleted")),
)]
#[delete("/orgs/{org_id}/api-keys/{api_key_id}")]
pub async fn delete_org_api_key(
    caller: Caller<Session>,
    Path((org_id, id)): Path<(OrgId, ApiKeyId)>,
    _membership: OrgMember<can::RevokeOrgApiKey>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    caller
        .locking(move |tx| operations::list_owner(tx, TenantScope::Org(org_id), id))
        .transaction(&state, move |tx, caller| {
            OrgMember::<can::RevokeOrgApiKey>::require(tx, caller, org_id)?;
            operations::revoke(tx, caller, TenantScope::Org(org_id), id)
        })
        .await?;
    Ok(ApiResponse::no_content())
}
