//! `/orgs`, `/orgs/{org_id}`, `/orgs/{org_id}/switch`; the logo has a file of its own.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{Description, JoinPolicy, OrgName, Slug};
use super::operations::{self, OrgChanges, OrgDraft, OrgView};
use super::permissions::{OrgCaller, OrgPermission};
use super::{audit_log, logo};
use crate::auth::{Caller, OrgRole, OrgsRead, Password, Session};
use crate::error::Error;
use crate::http::{ApiResponse, Idempotent, Path, RequestInput};
use crate::images;
use crate::request_type;
use crate::sessions::{self, TokensResponse};
use crate::state::State;
use crate::users;
use crate::values::ids::OrgId;
use crate::values::{Page, PageQuery, Precondition};
use crate::values::{Patch, Timestamp};

/// The routes of this slice.
pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(create_org)
        .service(list_orgs)
        .service(get_org)
        .service(update_org)
        .service(delete_org)
        .service(switch_org)
        .service(audit_log::list_org_audit_log)
        .service(logo::put_logo)
        .service(logo::delete_logo);
}

/// An organisation, as one of its members sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = Org)]
pub struct OrgResponse {
    /// The organisation.
    pub id: OrgId,
    /// What it is called.
    pub name: String,
    /// Its unique short name.
    pub slug: String,
    /// What it says of itself.
    pub description: Option<String>,
    /// Its logo.
    pub logo_url: Option<String>,
    /// How people come into it.
    pub join_policy: JoinPolicy,
    /// The caller's role in it.
    pub role: OrgRole,
    /// How many members it has.
    pub member_count: i64,
    /// When it came to be.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl OrgResponse {
    /// Of what was read.
    pub fn new(view: OrgView, state: &State) -> Self {
        let OrgView {
            org,
            role,
            member_count,
        } = view;
        Self {
            id: org.id,
            logo_url: org.logo_id.map(|id| images::url(&state.config, id)),
            join_policy: org.join_policy(),
            role,
            member_count,
            created_at: org.created_at.into(),
            updated_at: org.updated_at.into(),
            name: org.name,
            slug: org.slug,
            description: org.description,
        }
    }

    /// 200, with the entity tag.
    ///
    /// # Errors
    /// As [`ApiResponse::ok`].
    pub fn answer(view: OrgView, state: &State) -> Result<ApiResponse, Error> {
        let version = view.org.version;
        Ok(ApiResponse::ok(&Self::new(view, state))?.etag(version))
    }
}

request_type! {
    /// What an organisation is to be.
    #[derive(ToSchema)]
    pub struct CreateOrgRequest {
        /// What it is called.
        pub name: OrgName,
        /// Its unique short name; absent: made of the name.
        #[schema(nullable = false)]
        pub slug: Option<Slug>,
        /// What it says of itself.
        pub description: Option<Description>,
        /// How people come into it; absent: only by invitation.
        #[schema(nullable = false)]
        pub join_policy: Option<JoinPolicy>,
    }
}

/// Make an organisation
///
/// The caller becomes its owner. Without a slug, one is made of the name.
#[utoipa::path(
    operation_id = "createOrg", tag = "Organisations", security(("session" = [])), request_body = CreateOrgRequest,
    responses((status = 201, description = "The organisation", body = OrgResponse)),
)]
#[post("/orgs")]
async fn create_org(
    caller: Caller<Session>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let request: CreateOrgRequest = input.json().await?;
    let draft = OrgDraft {
        name: request.name,
        slug: request.slug,
        description: request.description,
        join_policy: request.join_policy.unwrap_or(JoinPolicy::InviteOnly),
    };
    let shown = state.clone();
    idempotent
        .transaction(&state.db, caller.now(), move |tx| {
            let view = operations::create(tx, &caller, &draft)?;
            let (path, version) = (format!("/orgs/{}", view.org.id), view.org.version);
            Ok(ApiResponse::created(&shown.config, &path, &OrgResponse::new(view, &shown))?.etag(version))
        })
        .await
}

/// List one's organisations
///
/// The last joined first. An API key that is bound to an organisation sees that one only.
#[utoipa::path(
    operation_id = "listOrgs", tag = "Organisations", security(("session" = []), ("api_key" = ["orgs:read"])),
    params(PageQuery),
    responses((status = 200, description = "The organisations the caller is a member of", body = Page<OrgResponse>)),
)]
#[get("/orgs")]
async fn list_orgs(
    caller: Caller<OrgsRead>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let query: PageQuery = input.query()?;
    let secret = state.secret.clone();
    let page = state
        .db
        .read(caller.now(), move |tx| operations::list(tx, &secret, &caller, &query))
        .await?;
    ApiResponse::ok(&page.map(|view| OrgResponse::new(view, &state)))
}

/// See an organisation
#[utoipa::path(
    operation_id = "getOrg", tag = "Organisations", security(("session" = [])),
    params(("org_id" = OrgId, Path, description = "The organisation")),
    responses((status = 200, description = "The organisation", body = OrgResponse)),
)]
#[get("/orgs/{org_id}")]
async fn get_org(
    caller: Caller<Session>,
    Path(org_id): Path<OrgId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let view = state
        .db
        .read(caller.now(), move |tx| operations::read(tx, &caller, org_id))
        .await?;
    input.none().await?;
    OrgResponse::answer(view, &state)
}

request_type! {
    /// What to change of an organisation; what is absent stays.
    #[derive(ToSchema)]
    pub struct UpdateOrgRequest {
        /// What it is called.
        #[schema(value_type = OrgName, required = false)]
        pub name: Patch<OrgName>,
        /// Its unique short name: lower case is made of it.
        #[schema(value_type = Slug, required = false)]
        pub slug: Patch<Slug>,
        /// What it says of itself; null for nothing.
        #[schema(value_type = Option<Description>, required = false)]
        pub description: Patch<Option<Description>>,
        /// How people come into it.
        #[schema(value_type = JoinPolicy, required = false)]
        pub join_policy: Patch<JoinPolicy>,
    }
}

/// Change an organisation
///
/// A merge patch, for owners and admins.
#[utoipa::path(
    operation_id = "updateOrg", tag = "Organisations", security(("session" = [])), request_body = UpdateOrgRequest,
    params(("org_id" = OrgId, Path, description = "The organisation")),
    responses((status = 200, description = "The organisation as it is now", body = OrgResponse)),
)]
#[patch("/orgs/{org_id}")]
async fn update_org(
    caller: Caller<Session>,
    Path(org_id): Path<OrgId>,
    precondition: Precondition,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    OrgCaller::check(&state, &caller, org_id, OrgPermission::UpdateOrg).await?;
    let UpdateOrgRequest {
        name,
        slug,
        description,
        join_policy,
    } = input.merge_patch().await?;
    let changes = OrgChanges {
        name,
        slug,
        description,
        join_policy,
    };
    let view = state
        .db
        .transaction(caller.now(), move |tx| {
            operations::update(tx, &caller, org_id, &precondition, changes)
        })
        .await?;
    OrgResponse::answer(view, &state)
}

request_type! {
    /// The password, where the session is not fresh.
    #[derive(ToSchema)]
    pub struct DeleteOrgRequest {
        /// The present password; absent: the session must have shown it in the last ten minutes.
        #[schema(nullable = false)]
        pub current_password: Option<Password>,
    }
}

/// Delete an organisation
///
/// For owners, with a fresh password. Its members leave it; its keys, invitations and requests end with it.
#[utoipa::path(
    operation_id = "deleteOrg", tag = "Organisations", security(("session" = [])),
    request_body = Option<DeleteOrgRequest>,
    params(("org_id" = OrgId, Path, description = "The organisation")),
    responses((status = 204, description = "It is gone")),
)]
#[delete("/orgs/{org_id}")]
async fn delete_org(
    caller: Caller<Session>,
    Path(org_id): Path<OrgId>,
    precondition: Precondition,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    OrgCaller::check(&state, &caller, org_id, OrgPermission::DeleteOrg).await?;
    let request: DeleteOrgRequest = input.optional_json().await?;
    users::require_fresh(&state, &caller, request.current_password).await?;
    state
        .db
        .transaction(caller.now(), move |tx| {
            operations::delete(tx, &caller, org_id, &precondition)
        })
        .await?;
    Ok(ApiResponse::no_content())
}

/// Act in an organisation
///
/// From now on this session acts there, and the next login starts there. Other tabs keep theirs until they refresh.
#[utoipa::path(
    operation_id = "switchOrg", tag = "Organisations", security(("session" = [])),
    params(("org_id" = OrgId, Path, description = "The organisation")),
    responses((status = 200, description = "An access token for it; the refresh token stays", body = TokensResponse)),
)]
#[post("/orgs/{org_id}/switch")]
async fn switch_org(
    caller: Caller<Session>,
    Path(org_id): Path<OrgId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    OrgCaller::check(&state, &caller, org_id, OrgPermission::SwitchOrg).await?;
    input.none().await?;
    let (id, now) = (caller.session_id()?, caller.now());
    let grant = state
        .db
        .transaction(now, move |tx| sessions::switch_org(tx, &caller, id, org_id))
        .await?;
    ApiResponse::ok(&grant.tokens(now, &state.tokens, &state.secret)?)
}
