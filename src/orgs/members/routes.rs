//! `/orgs/{org_id}/members`, `/orgs/{org_id}/transfer`.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{Member, ServiceName};
use super::operations::{self, Listing, MemberChanges};
use crate::auth::{Caller, MembersRead, OrgRole, Password, Session};
use crate::error::{Error, FieldCode, Invalid};
use crate::http::{ApiResponse, Idempotent, Path, RequestInput};
use crate::images;
use crate::orgs::{OrgCaller, OrgPermission, OrgResponse};
use crate::request_type;
use crate::state::State;
use crate::users;
use crate::values::ids::{OrgId, UserId};
use crate::values::{Fields, FromFields, IdRef, Patch, Timestamp};
use crate::values::{Page, PageQuery, Precondition};

/// The routes of this slice.
pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(list_members)
        .service(get_member)
        .service(update_member)
        .service(remove_member)
        .service(transfer_org);
}

/// A member of an organisation.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub struct MemberResponse {
    /// The person.
    pub user_id: UserId,
    /// Their unique name.
    pub username: Option<String>,
    /// What they like to be called.
    pub nickname: Option<String>,
    /// Their picture.
    pub avatar_url: Option<String>,
    /// Their role.
    pub role: OrgRole,
    /// Services of the platform that they may not use there.
    pub disabled_services: Vec<String>,
    /// Since when they are there.
    pub joined_at: Timestamp,
}

impl MemberResponse {
    fn new(member: Member, state: &State) -> Self {
        let role = member.role();
        Self {
            user_id: member.person.id,
            username: member.person.username,
            nickname: member.person.nickname,
            avatar_url: member.person.avatar_id.map(|id| images::url(&state.config, id)),
            role,
            disabled_services: member.disabled_services,
            joined_at: member.joined_at.into(),
        }
    }

    fn answer(member: Member, state: &State) -> Result<ApiResponse, Error> {
        let version = member.version;
        Ok(ApiResponse::ok(&Self::new(member, state))?.etag(version))
    }
}

/// Which members are wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct MemberFilter {
    /// Part of the username or nickname, in any case, taken literally.
    #[param(required = false, nullable = false)]
    #[expect(dead_code, reason = "documents what `Listing` reads")]
    q: Option<String>,
    /// Only members with this role.
    #[param(required = false, nullable = false)]
    #[expect(dead_code, reason = "documents what `Listing` reads")]
    role: Option<OrgRole>,
}

impl FromFields for Listing {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (page, q, role) = (PageQuery::from_fields(fields), fields.take("q"), fields.take("role"));
        Some(Self {
            q: q?,
            role: role?,
            page: page?,
        })
    }
}

/// List members
///
/// The last joined first. For every member.
#[utoipa::path(
    operation_id = "listMembers", tag = "Members", security(("session" = []), ("api_key" = ["members:read"])),
    params(("org_id" = OrgId, Path, description = "The organisation"), MemberFilter, PageQuery),
    responses((status = 200, description = "Who is there", body = Page<MemberResponse>)),
)]
#[get("/orgs/{org_id}/members")]
async fn list_members(
    caller: Caller<MembersRead>,
    Path(org_id): Path<OrgId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    OrgCaller::check(&state, &caller, org_id, OrgPermission::ListMembers).await?;
    let listing: Listing = input.query()?;
    let secret = state.secret.clone();
    let page = state
        .db
        .read(caller.now(), move |tx| operations::list(tx, &secret, org_id, &listing))
        .await?;
    ApiResponse::ok(&page.map(|member| MemberResponse::new(member, &state)))
}

/// See a member
///
/// For every member.
#[utoipa::path(
    operation_id = "getMember", tag = "Members", security(("session" = []), ("api_key" = ["members:read"])),
    params(
        ("org_id" = OrgId, Path, description = "The organisation"),
        ("user_id" = UserId, Path, description = "The member"),
    ),
    responses((status = 200, description = "The member", body = MemberResponse)),
)]
#[get("/orgs/{org_id}/members/{user_id}")]
async fn get_member(
    caller: Caller<MembersRead>,
    Path(ids): Path<(OrgId, UserId)>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let (_, member) = state
        .db
        .read(caller.now(), move |tx| {
            operations::target(tx, &caller, ids, OrgPermission::ReadMember)
        })
        .await?;
    input.none().await?;
    MemberResponse::answer(member, &state)
}

/// Refuses before the body is read.
async fn check_target(
    state: &State,
    caller: &Caller<Session>,
    ids: (OrgId, UserId),
    act: OrgPermission,
) -> Result<(), Error> {
    let caller = caller.clone();
    let asked = state
        .db
        .read(caller.now(), move |tx| operations::target(tx, &caller, ids, act));
    asked.await.map(|_| ())
}

request_type! {
    /// What to change of a member; what is absent stays.
    #[derive(ToSchema)]
    pub struct UpdateMemberRequest {
        /// Their role.
        #[schema(value_type = OrgRole, required = false)]
        pub role: Patch<OrgRole>,
        /// Services of the platform that they may not use there.
        #[schema(value_type = Vec<ServiceName>, required = false)]
        pub disabled_services: Patch<Vec<ServiceName>>,
    }
}

/// Change a member
///
/// A merge patch, for admins; only an owner makes or unmakes owners and admins. It acts at once, on keys too.
#[utoipa::path(
    operation_id = "updateMember", tag = "Members", security(("session" = [])), request_body = UpdateMemberRequest,
    params(
        ("org_id" = OrgId, Path, description = "The organisation"),
        ("user_id" = UserId, Path, description = "The member"),
    ),
    responses((status = 200, description = "The member as they are now", body = MemberResponse)),
)]
#[patch("/orgs/{org_id}/members/{user_id}")]
async fn update_member(
    caller: Caller<Session>,
    Path(ids): Path<(OrgId, UserId)>,
    precondition: Precondition,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    check_target(&state, &caller, ids, OrgPermission::UpdateMember).await?;
    let UpdateMemberRequest {
        role,
        disabled_services,
    } = input.merge_patch().await?;
    let changes = MemberChanges {
        role,
        disabled_services,
    };
    let catalogue = state.scopes.clone();
    let member = state
        .db
        .transaction(caller.now(), move |tx| {
            operations::update(tx, &catalogue, &caller, ids, (&precondition, changes))
        })
        .await?;
    MemberResponse::answer(member, &state)
}

/// Remove a member, or leave
///
/// For admins; for oneself it means to leave. Only an owner removes owners and admins, and the last owner stays. The
/// person's keys in the organisation stop working for good.
#[utoipa::path(
    operation_id = "deleteMember", tag = "Members", security(("session" = [])),
    params(
        ("org_id" = OrgId, Path, description = "The organisation"),
        ("user_id" = UserId, Path, description = "The member"),
    ),
    responses((status = 204, description = "They are no longer a member")),
)]
#[delete("/orgs/{org_id}/members/{user_id}")]
async fn remove_member(
    caller: Caller<Session>,
    Path(ids): Path<(OrgId, UserId)>,
    precondition: Precondition,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    check_target(&state, &caller, ids, operations::ending(&caller, ids.1)).await?;
    input.none().await?;
    state
        .db
        .transaction(caller.now(), move |tx| {
            operations::remove(tx, &caller, ids, &precondition)
        })
        .await?;
    Ok(ApiResponse::no_content())
}

request_type! {
    /// Who is to own the organisation.
    #[derive(ToSchema)]
    pub struct TransferOrgRequest {
        /// A member of it.
        #[schema(value_type = UserId)]
        pub user_id: IdRef<UserId>,
        /// The present password.
        pub current_password: Password,
    }
}

/// Hand an organisation over
///
/// For owners. The member named becomes owner, the caller admin.
#[utoipa::path(
    operation_id = "transferOrg", tag = "Members", security(("session" = [])), request_body = TransferOrgRequest,
    params(("org_id" = OrgId, Path, description = "The organisation")),
    responses((status = 200, description = "The organisation, as the former owner sees it", body = OrgResponse)),
)]
#[post("/orgs/{org_id}/transfer")]
async fn transfer_org(
    caller: Caller<Session>,
    Path(org_id): Path<OrgId>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    OrgCaller::check(&state, &caller, org_id, OrgPermission::TransferOrg).await?;
    let request: TransferOrgRequest = input.json().await?;
    let ids = (org_id, request.user_id.id()?);
    check_target(&state, &caller, ids, OrgPermission::TransferOrg).await?;
    if ids.1 == caller.user_id {
        let invalid = Invalid::new(FieldCode::NotAllowed, "Name another member than yourself.");
        return Err(Error::field("#/user_id", invalid));
    }
    users::check_password(&state, &caller, request.current_password, "#/current_password").await?;
    let shown = state.clone();
    let answer = idempotent
        .transaction(&state.db, caller.now(), move |tx| {
            let view = operations::transfer(tx, &caller, ids)?;
            OrgResponse::answer(view, &shown)
        })
        .await?;
    Ok(answer)
}
