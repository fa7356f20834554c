//! `/orgs`, `/orgs/{org_id}`, `/orgs/{org_id}/switch`.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{Description, JoinPolicy, OrgName, OrgView, Slug};
use super::operations::{self, OrgChanges, OrgDraft};
use super::org_member::{OrgMember, locking};
use super::permissions::can;
use super::{audit_log, logo};
use crate::auth::{Caller, OrgRole, OrgsRead, Password, Session};
use crate::error::Error;
use crate::http::{ApiResponse, Idempotent, RequestInput};
use crate::images;
use crate::request_type;
use crate::sessions::{self, TokensResponse};
use crate::state::State;
use crate::users;
use crate::values::ids::OrgId;
use crate::values::{Page, PageQuery, Patch, Precondition, Timestamp};

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
    /// Id of the organisation.
    pub id: OrgId,
    /// Name of the organisation.
    pub name: String,
    /// Unique short name of the organisation, in lower case.
    pub slug: String,
    /// Description of the organisation.
    pub description: Option<String>,
    /// URL of the logo.
    pub logo_url: Option<String>,
    /// How a user can become a member.
    pub join_policy: JoinPolicy,
    /// The caller's role in the organisation.
    pub role: OrgRole,
    /// Number of members.
    pub member_count: i64,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time of the last change to the name, slug, description, logo or join policy.
    pub updated_at: Timestamp,
}

impl OrgResponse {
    pub fn new(view: OrgView, state: &State) -> Self {
        let OrgView {
            org,
            role,
            member_count,
        } = view;
        Self {
            id: org.id,
            name: org.name,
            slug: org.slug,
            description: org.description,
            logo_url: org.logo_id.map(|id| images::url(&state.config, id)),
            join_policy: org.join_policy,
            role,
            member_count,
            created_at: org.created_at.into(),
            updated_at: org.updated_at.into(),
        }
    }

    /// 200 with the entity tag.
    ///
    /// # Errors
    /// As [`ApiResponse::ok`].
    pub fn ok(view: OrgView, state: &State) -> Result<ApiResponse, Error> {
        let version = view.org.version;
        Ok(ApiResponse::ok(&Self::new(view, state))?.etag(version))
    }
}

request_type! {
    /// The settings of a new organisation.
    #[derive(ToSchema)]
    pub struct CreateOrgRequest {
        /// Name of the organisation.
        pub name: OrgName,
        /// Unique short name; derived from the name when absent.
        #[schema(nullable = false)]
        pub slug: Option<Slug>,
        /// Description of the organisation.
        pub description: Option<Description>,
        /// How a user can become a member; `invite_only` when absent.
        #[schema(nullable = false)]
        pub join_policy: Option<JoinPolicy>,
    }
}

/// Create an organisation
///
/// Creates an organisation with the caller as its owner. Without a `slug`, one is derived from the name, with a number
/// appended when it is taken. A user can own 100 organisations; then the response is 409.
#[utoipa::path(
    operation_id = "createOrg", tag = "Organisations", security(("session" = [])), request_body = CreateOrgRequest,
    responses((status = 201, description = "The new organisation", body = OrgResponse)),
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
    caller
        .idempotent_transaction(&state.clone(), idempotent, move |tx, caller| {
            let view = operations::create(tx, caller, &draft)?;
            let (path, version) = (format!("/orgs/{}", view.org.id), view.org.version);
            Ok(ApiResponse::created(&state.config, &path, &OrgResponse::new(view, &state))?.etag(version))
        })
        .await
}

/// List my organisations
///
/// Returns the organisations that the caller is a member of, the one joined last first. An API key that is bound to an
/// organisation sees only that one.
#[utoipa::path(
    operation_id = "listOrgs", tag = "Organisations", security(("session" = []), ("api_key" = ["orgs:read"])),
    params(PageQuery),
    responses((status = 200, description = "A page of organisations", body = Page<OrgResponse>)),
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

/// Get an organisation
///
/// Returns an organisation that the caller is a member of. An API key that is bound to an organisation sees only that one.
#[utoipa::path(
    operation_id = "getOrg", tag = "Organisations", security(("session" = []), ("api_key" = ["orgs:read"])),
    params(("org_id" = OrgId, Path, description = "Id of the organisation")),
    responses((status = 200, description = "The organisation", body = OrgResponse)),
)]
#[get("/orgs/{org_id}")]
async fn get_org(
    caller: Caller<OrgsRead>,
    membership: OrgMember<can::ReadOrg>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    let view = state
        .db
        .read(caller.now(), move |tx| operations::read(tx, &membership))
        .await?;
    OrgResponse::ok(view, &state)
}

request_type! {
    /// The fields of an organisation to change. Absent fields keep their value.
    #[derive(ToSchema)]
    pub struct UpdateOrgRequest {
        /// Name of the organisation.
        #[schema(value_type = OrgName, required = false)]
        pub name: Patch<OrgName>,
        /// Unique short name; converted to lower case.
        #[schema(value_type = Slug, required = false)]
        pub slug: Patch<Slug>,
        /// Description of the organisation; `null` removes it.
        #[schema(value_type = Option<Description>, required = false)]
        pub description: Patch<Option<Description>>,
        /// How a user can become a member.
        #[schema(value_type = JoinPolicy, required = false)]
        pub join_policy: Patch<JoinPolicy>,
    }
}

/// Update an organisation
///
/// Changes the name, slug, description or join policy (JSON merge patch). Needs the role `admin` or `owner`.
#[utoipa::path(
    operation_id = "updateOrg", tag = "Organisations", security(("session" = [])), request_body = UpdateOrgRequest,
    params(("org_id" = OrgId, Path, description = "Id of the organisation")),
    responses((status = 200, description = "The changed organisation", body = OrgResponse)),
)]
#[patch("/orgs/{org_id}")]
async fn update_org(
    caller: Caller<Session>,
    membership: OrgMember<can::UpdateOrg>,
    precondition: Precondition,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let request: UpdateOrgRequest = input.merge_patch().await?;
    let changes = OrgChanges {
        name: request.name,
        slug: request.slug,
        description: request.description,
        join_policy: request.join_policy,
    };
    let org_id = membership.org_id;
    let view = caller
        .locking(locking(org_id))
        .transaction(&state, move |tx, caller| {
            operations::update(tx, caller, org_id, &precondition, changes.clone())
        })
        .await?;
    OrgResponse::ok(view, &state)
}

request_type! {
    /// The current password, if the last authentication is older than ten minutes.
    #[derive(ToSchema)]
    pub struct DeleteOrgRequest {
        /// Current password. Not needed within ten minutes of a login or `POST /auth/reauthenticate`.
        #[schema(nullable = false)]
        pub current_password: Option<Password>,
    }
}

/// Delete an organisation
///
/// Deletes the organisation with its API keys, invitations and requests to join, ends every membership and notifies the
/// other members. Needs the role `owner`, and a recent authentication or the current password.
#[utoipa::path(
    operation_id = "deleteOrg", tag = "Organisations", security(("session" = [])),
    request_body = Option<DeleteOrgRequest>,
    params(("org_id" = OrgId, Path, description = "Id of the organisation")),
    responses((status = 204, description = "The organisation is deleted")),
)]
#[delete("/orgs/{org_id}")]
async fn delete_org(
    mut caller: Caller<Session>,
    membership: OrgMember<can::DeleteOrg>,
    precondition: Precondition,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let request: DeleteOrgRequest = input.optional_json().await?;
    users::require_fresh(&state, &mut caller, request.current_password).await?;
    let org_id = membership.org_id;
    caller
        .locking(move |tx| operations::lock_for_deletion(tx, org_id))
        .transaction(&state, move |tx, caller| {
            operations::delete(tx, caller, org_id, &precondition)
        })
        .await?;
    Ok(ApiResponse::no_content())
}

/// Switch to an organisation
///
/// Makes the organisation the active one of this session and returns an access token for it; the next login also starts in
/// it. Access tokens that were issued before keep their organisation until they are refreshed. Any member may do this.
#[utoipa::path(
    operation_id = "switchOrg", tag = "Organisations", security(("session" = [])),
    params(("org_id" = OrgId, Path, description = "Id of the organisation")),
    responses((status = 200, description = "A new access token; the refresh token stays the same", body = TokensResponse)),
)]
#[post("/orgs/{org_id}/switch")]
async fn switch_org(
    caller: Caller<Session>,
    membership: OrgMember<can::SwitchOrg>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    let (session_id, now) = (caller.session_id()?, caller.now());
    let grant = caller
        .transaction(&state, move |tx, caller| {
            sessions::switch_org(tx, caller, session_id, membership.org_id)
        })
        .await?;
    ApiResponse::ok(&grant.tokens(now, &state.tokens, &state.secret)?)
}
