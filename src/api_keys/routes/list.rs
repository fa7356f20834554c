//! `GET /api-keys`.

use actix_web::{get, web};
use utoipa_actix_web::service_config::ServiceConfig;

use super::keys::ApiKeyResponse;
use crate::api_keys::list::{After, Selection, Tenant};
use crate::api_keys::model::{Search, Sort};
use crate::api_keys::store;
use crate::api_keys::usage;
use crate::auth::{Caller, KeysRead};
use crate::credential_cache::KeyStatus;
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::orgs::membership;
use crate::state::State;
use crate::values::ids::OrgId;
use crate::values::{Cursors, Page, PageQuery};
use crate::values::{Fields, FromFields, IdRef};

pub fn router(routes: &mut ServiceConfig) {
    routes.service(list_api_keys);
}

/// Which keys to list.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListApiKeysQuery {
    #[param(ignore)]
    page: PageQuery,
    /// An id, or a part of the name, in capitals or not.
    #[param(required = false, nullable = false, value_type = String)]
    q: Option<Search>,
    /// Only those of this organisation.
    #[param(required = false, nullable = false, value_type = OrgId)]
    org_id: Option<IdRef<OrgId>>,
    /// Only those that stand like this.
    #[param(required = false, nullable = false, inline)]
    status: Option<KeyStatus>,
    /// The order.
    #[param(required = false, nullable = false, inline)]
    sort: Option<Sort>,
}

impl FromFields for ListApiKeysQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let page = PageQuery::from_fields(fields);
        let q = fields.take("q");
        let org_id = fields.take("org_id");
        let status = fields.take("status");
        let sort = fields.take("sort");
        Some(Self {
            page: page?,
            q: q?,
            org_id: org_id?,
            status: status?,
            sort: sort?,
        })
    }
}

/// List one's API keys
///
/// An API key that is bound to an organisation sees those there only.
#[utoipa::path(
    operation_id = "listApiKeys", tag = "API keys", security(("session" = []), ("api_key" = ["keys:read"])),
    params(PageQuery, ListApiKeysQuery),
    responses((status = 200, description = "A page of keys", body = Page<ApiKeyResponse>)),
)]
#[get("/api-keys")]
async fn list_api_keys(
    caller: Caller<KeysRead>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let query: ListApiKeysQuery = input.query()?;
    let org_id = query.org_id.map(IdRef::id).transpose()?;
    let (now, user_id, limit) = (caller.now(), caller.user_id, query.page.limit);
    let tenant = Tenant::of(&caller);
    if org_id.is_some_and(|org_id| caller.is_bound_elsewhere(org_id)) {
        return Err(Error::not_found());
    }
    let (q, status) = (query.q.map(Search::into_string), query.status);
    let sort = query.sort.unwrap_or(Sort::NewestFirst);
    let list = format!("api_keys {tenant:?} {sort} {status:?} {org_id:?} {q:?}");
    let after: Option<After> = Cursors::new(&state.secret, list.as_str()).read(query.page.cursor.as_deref())?;
    if sort == Sort::LastUsedAt {
        // What is shown and what it is sorted by are then the same.
        usage::flush_to_read(&state).await;
    }
    let records = state
        .db
        .read(now, move |tx| {
            let selection = Selection {
                in_org: org_id,
                q: q.as_deref(),
                status,
                sort,
                after,
                limit: limit + 1,
                ..Selection::of(tenant)
            };
            let records = store::select(tx, &selection)?;
            // One may look at the keys that outlived a membership, but not ask which organisations there are.
            if let Some(org_id) = org_id.filter(|_| records.is_empty()) {
                membership::require(tx, org_id, user_id)?;
            }
            Ok(records)
        })
        .await?;
    let page = Cursors::new(&state.secret, list).page(records, limit, |record| After::of(record, sort))?;
    ApiResponse::ok(&page.map(|record| ApiKeyResponse::new(record, now, &state)))
}
