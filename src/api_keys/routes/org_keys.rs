//! `/orgs/{id}/api-keys`, `/orgs/{id}/members/{id}/api-keys`: what those who run an organisation see of its keys.

use actix_web::{delete, get, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::keys::ApiKeyResponse;
use crate::api_keys::list::{After, Selection, Tenant};
use crate::api_keys::model::{KeyRecord, Sort};
use crate::api_keys::operations;
use crate::api_keys::store;
use crate::auth::{Caller, Session};
use crate::error::Error;
use crate::http::{ApiResponse, Path, RequestInput};
use crate::orgs::membership;
use crate::orgs::{OrgMember, can};
use crate::state::State;
use crate::values::ids::{ApiKeyId, OrgId, UserId};
use crate::values::{Cursors, Page, PageQuery};

pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(list_org_api_keys)
        .service(delete_org_api_key)
        .service(list_member_api_keys);
}

/// Who a key acts for.
#[derive(Serialize, ToSchema)]
pub struct ApiKeyOwnerResponse {
    /// The person.
    pub id: UserId,
    /// Their unique name.
    pub username: Option<String>,
    /// What they like to be called.
    pub nickname: Option<String>,
}

/// An API key, as those see it who run its organisation.
#[derive(Serialize, ToSchema)]
#[schema(as = OrgApiKey)]
pub struct OrgApiKeyResponse {
    /// The key.
    #[serde(flatten)]
    pub key: ApiKeyResponse,
    /// Who it acts for.
    pub owner: ApiKeyOwnerResponse,
}

impl OrgApiKeyResponse {
    fn new(record: KeyRecord, now: DateTime<Utc>, state: &State) -> Self {
        let owner = ApiKeyOwnerResponse {
            id: record.key.user_id,
            username: record.owner.username.clone(),
            nickname: record.owner.nickname.clone(),
        };
        Self {
            key: ApiKeyResponse::new(record, now, state),
            owner,
        }
    }
}

/// Lists the keys of a tenant in an organisation to somebody who was found to run it.
async fn list(
    caller: &Caller<Session>,
    input: RequestInput,
    state: &State,
    tenant: Tenant,
) -> Result<ApiResponse, Error> {
    let page: PageQuery = input.query()?;
    let (now, limit) = (caller.now(), page.limit);
    let list = format!("org_api_keys {tenant:?}");
    let after: Option<After> = Cursors::new(&state.secret, list.as_str()).read(page.cursor.as_deref())?;
    let records = state
        .db
        .read(now, move |tx| {
            let selection = Selection {
                after,
                limit: limit + 1,
                ..Selection::of(tenant)
            };
            store::select(tx, &selection)
        })
        .await?;
    let key = |record: &KeyRecord| After::of(record, Sort::NewestFirst);
    let page = Cursors::new(&state.secret, list).page(records, limit, key)?;
    ApiResponse::ok(&page.map(|record| OrgApiKeyResponse::new(record, now, state)))
}

/// List an organisation's API keys
///
/// Every key that acts in the organisation, with its owner. For its owners and admins.
#[utoipa::path(
    operation_id = "listOrgApiKeys", tag = "API keys", security(("session" = [])),
    params(("org_id" = OrgId, Path, description = "The organisation"), PageQuery),
    responses((status = 200, description = "A page of keys", body = Page<OrgApiKeyResponse>)),
)]
#[get("/orgs/{org_id}/api-keys")]
async fn list_org_api_keys(
    caller: Caller<Session>,
    membership: OrgMember<can::ListOrgApiKeys>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    list(&caller, input, &state, Tenant::Org(membership.org_id)).await
}

/// List a member's API keys
///
/// What stops working in the organisation if they go. For its owners and admins.
#[utoipa::path(
    operation_id = "listMemberApiKeys", tag = "API keys", security(("session" = [])),
    params(
        ("org_id" = OrgId, Path, description = "The organisation"),
        ("user_id" = UserId, Path, description = "The member"), PageQuery,
    ),
    responses((status = 200, description = "A page of keys", body = Page<OrgApiKeyResponse>)),
)]
#[get("/orgs/{org_id}/members/{user_id}/api-keys")]
async fn list_member_api_keys(
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
    list(&caller, input, &state, Tenant::Member(org_id, user_id)).await
}

/// Revoke an organisation's API key
///
/// For good, whoever's it is; its owner is told. For the organisation's owners and admins.
#[utoipa::path(
    operation_id = "deleteOrgApiKey", tag = "API keys", security(("session" = [])),
    params(
        ("org_id" = OrgId, Path, description = "The organisation"),
        ("api_key_id" = ApiKeyId, Path, description = "The key"),
    ),
    responses((status = 204, description = "The key is gone")),
)]
#[delete("/orgs/{org_id}/api-keys/{api_key_id}")]
async fn delete_org_api_key(
    caller: Caller<Session>,
    Path((org_id, id)): Path<(OrgId, ApiKeyId)>,
    _membership: OrgMember<can::RevokeOrgApiKey>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    state
        .db
        .transaction(caller.now(), move |tx| {
            OrgMember::<can::RevokeOrgApiKey>::require(tx, &caller, org_id)?;
            operations::revoke(tx, &caller, Tenant::Org(org_id), id)
        })
        .await?;
    Ok(ApiResponse::no_content())
}
