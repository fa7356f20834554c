//! `/orgs/{org_id}/members`, `/orgs/{org_id}/transfer`, `/admin/orgs/{org_id}/owners`.

use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, delete, get, patch, post, web};
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{Member, MemberFilter, ServiceName};
use super::operations::{self, MemberKey, MemberUpdate};
use crate::auth::{Admin, Caller, MembersRead, OrgRole, Password, Session};
use crate::db::Tx;
use crate::error::{Error, FieldCode, Invalid};
use crate::http::{ApiResponse, Idempotent, Path, RequestInput};
use crate::images;
use crate::orgs::{self, OrgMember, OrgPermission, OrgResponse, PermissionType, can, guard};
use crate::request_type;
use crate::state::State;
use crate::users;
use crate::values::ids::{OrgId, UserId};
use crate::values::{IdRef, Page, PageQuery, Patch, Precondition, Timestamp};

pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(list_members)
        .service(get_member)
        .service(update_member)
        .service(remove_member)
        .service(transfer_org)
        .service(appoint_org_owner);
}

/// The member that the path names, on whom the caller may use the permission `P`; see [`operations::find_target`].
struct TargetMember<P> {
    key: MemberKey,
    member: Member,
    permission: PhantomData<P>,
}

impl<P: PermissionType> FromRequest for TargetMember<P> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        guard::look_up(request, payload, |tx, caller, (org_id, user_id)| {
            let key = MemberKey { org_id, user_id };
            let (_, member) = operations::find_target(tx, caller, key, P::PERMISSION)?;
            Ok(Self {
                key,
                member,
                permission: PhantomData,
            })
        })
    }
}

/// A member of an organisation.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub struct MemberResponse {
    /// Id of the user.
    pub user_id: UserId,
    /// Unique name of the user; null until the user has chosen one.
    pub username: Option<String>,
    /// Display name of the user.
    pub nickname: Option<String>,
    /// URL of the avatar.
    pub avatar_url: Option<String>,
    /// Role of the member in the organisation.
    pub role: OrgRole,
    /// Services of the platform that the member may not use in the organisation.
    pub disabled_services: Vec<String>,
    /// Time at which the user became a member.
    pub joined_at: Timestamp,
}

impl MemberResponse {
    fn new(member: Member, state: &State) -> Self {
        Self {
            user_id: member.person.id,
            username: member.person.username,
            nickname: member.person.nickname,
            avatar_url: member.person.avatar_id.map(|id| images::url(&state.config, id)),
            role: member.role,
            disabled_services: member.disabled_services,
            joined_at: member.joined_at.into(),
        }
    }

    /// 200 with the entity tag.
    fn ok(member: Member, state: &State) -> Result<ApiResponse, Error> {
        let version = member.version;
        Ok(ApiResponse::ok(&Self::new(member, state))?.etag(version))
    }
}

/// List members
///
/// Returns the members of an organisation, the one that joined last first. Any member may do this.
#[utoipa::path(
    operation_id = "listMembers", tag = "Members", security(("session" = []), ("api_key" = ["members:read"])),
    params(("org_id" = OrgId, Path, description = "Id of the organisation"), MemberFilter, PageQuery),
    responses((status = 200, description = "A page of members", body = Page<MemberResponse>)),
)]
#[get("/orgs/{org_id}/members")]
async fn list_members(
    caller: Caller<MembersRead>,
    membership: OrgMember<can::ListMembers>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let (filter, page): (MemberFilter, PageQuery) = input.query()?;
    let secret = state.secret.clone();
    let members = state
        .db
        .read(caller.now(), move |tx| {
            operations::list(tx, &secret, membership.org_id, &filter, &page)
        })
        .await?;
    ApiResponse::ok(&members.map(|member| MemberResponse::new(member, &state)))
}

/// Get a member
///
/// Returns a member of an organisation. Any member may do this.
#[utoipa::path(
    operation_id = "getMember", tag = "Members", security(("session" = []), ("api_key" = ["members:read"])),
    params(
        ("org_id" = OrgId, Path, description = "Id of the organisation"),
        ("user_id" = UserId, Path, description = "Id of the member"),
    ),
    responses((status = 200, description = "The member", body = MemberResponse)),
)]
#[get("/orgs/{org_id}/members/{user_id}")]
async fn get_member(
    _caller: Caller<MembersRead>,
    target: TargetMember<can::ReadMember>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    MemberResponse::ok(target.member, &state)
}

request_type! {
    /// The fields of a member to change. Absent fields keep their value.
    #[derive(ToSchema)]
    pub struct UpdateMemberRequest {
        /// New role of the member.
        #[schema(value_type = OrgRole, required = false)]
        pub role: Patch<OrgRole>,
        /// All services of the platform that the member may not use in the organisation.
        #[schema(value_type = Vec<ServiceName>, required = false)]
        pub disabled_services: Patch<Vec<ServiceName>>,
    }
}

/// Update a member
///
/// Changes the role or the disabled services of a member (JSON merge patch), with immediate effect on sessions and API
/// keys. The member is notified of a new role, and the invitations they sent that exceed it are revoked. Needs the role `admin`
/// or `owner`; only an owner can give the role `admin` or `owner`, or change a member who has one of them. The last owner
/// whose account is not disabled cannot be demoted, and a disabled account can't become an owner.
#[utoipa::path(
    operation_id = "updateMember", tag = "Members", security(("session" = [])), request_body = UpdateMemberRequest,
    params(
        ("org_id" = OrgId, Path, description = "Id of the organisation"),
        ("user_id" = UserId, Path, description = "Id of the member"),
    ),
    responses((status = 200, description = "The changed member", body = MemberResponse)),
)]
#[patch("/orgs/{org_id}/members/{user_id}")]
async fn update_member(
    caller: Caller<Session>,
    target: TargetMember<can::UpdateMember>,
    precondition: Precondition,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let request: UpdateMemberRequest = input.merge_patch().await?;
    let update = MemberUpdate {
        precondition,
        role: request.role,
        disabled_services: request.disabled_services,
    };
    let catalog = state.scopes.clone();
    let member = caller
        .locking(move |tx| operations::lock_accounts(tx, target.key))
        .transaction(&state, move |tx, caller| {
            operations::update(tx, &catalog, caller, target.key, update.clone())
        })
        .await?;
    MemberResponse::ok(member, &state)
}

/// Remove a member or leave an organisation
///
/// Ends a membership: another member's, or the caller's own to leave. The member's API keys in the organisation stop working
/// for good, and the invitations they sent are revoked; a removed member is notified. Removing others needs the role `admin`
/// or `owner`, and only an owner can remove owners and admins. The last owner whose account is not disabled can neither leave nor be
/// removed.
#[utoipa::path(
    operation_id = "deleteMember", tag = "Members", security(("session" = [])),
    params(
        ("org_id" = OrgId, Path, description = "Id of the organisation"),
        ("user_id" = UserId, Path, description = "Id of the member"),
    ),
    responses((status = 204, description = "The membership has ended")),
)]
#[delete("/orgs/{org_id}/members/{user_id}")]
async fn remove_member(
    caller: Caller<Session>,
    target: TargetMember<can::RemoveMember>,
    precondition: Precondition,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    caller
        .locking(move |tx| operations::lock_accounts(tx, target.key))
        .transaction(&state, move |tx, caller| {
            operations::remove(tx, caller, target.key, &precondition)
        })
        .await?;
    Ok(ApiResponse::no_content())
}

request_type! {
    /// The new owner, and the current password.
    #[derive(ToSchema)]
    pub struct TransferOrgRequest {
        /// Id of the member who becomes the owner.
        #[schema(value_type = UserId)]
        pub user_id: IdRef<UserId>,
        /// Current password of the caller.
        pub current_password: Password,
    }
}

/// Transfer the ownership of an organisation
///
/// Makes another member the owner and the caller an admin. The new owner, whose account must not be disabled, is notified.
/// Needs the role `owner` and the password.
#[utoipa::path(
    operation_id = "transferOrg", tag = "Members", security(("session" = [])), request_body = TransferOrgRequest,
    params(("org_id" = OrgId, Path, description = "Id of the organisation")),
    responses((status = 200, description = "The organisation, with the caller's new role", body = OrgResponse)),
)]
#[post("/orgs/{org_id}/transfer")]
async fn transfer_org(
    mut caller: Caller<Session>,
    idempotent: Idempotent,
    membership: OrgMember<can::TransferOrg>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let request: TransferOrgRequest = input.json().await?;
    let new_owner = MemberKey {
        org_id: membership.org_id,
        user_id: request.user_id.id()?,
    };
    // With the caller checked again: the body may have come long after the credential was revoked.
    caller
        .clone()
        .transaction(&state, move |tx, caller| {
            operations::find_target(tx, caller, new_owner, OrgPermission::TransferOrg)
        })
        .await?;
    if new_owner.user_id == caller.user_id {
        let invalid = Invalid::new(FieldCode::NotAllowed, "Name a member other than yourself.");
        return Err(Error::field("#/user_id", invalid));
    }
    users::check_password(&state, &mut caller, request.current_password, "#/current_password").await?;
    caller
        .locking(move |tx| operations::lock_accounts(tx, new_owner))
        .idempotent_transaction(&state.clone(), idempotent, move |tx, caller| {
            let view = operations::transfer(tx, caller, new_owner)?;
            OrgResponse::ok(view, &state)
        })
        .await
}

request_type! {
    /// The new owner, and the current password if the last authentication is older than ten minutes.
    #[derive(ToSchema)]
    pub struct AppointOrgOwnerRequest {
        /// Id of the account that becomes an owner.
        #[schema(value_type = UserId)]
        pub user_id: IdRef<UserId>,
        /// Current password. Not needed within ten minutes of a login or `POST /auth/reauthenticate`.
        #[schema(nullable = false)]
        pub current_password: Option<Password>,
    }
}

/// Appoint an owner
///
/// Makes an account an owner of an organisation whose owners are all disabled, whether or not it is a member, and notifies
/// its user. While an owner can act, the response is 409. Needs the platform role `admin`, and a recent authentication or the
/// current password.
#[utoipa::path(
    operation_id = "appointOrgOwner", tag = "Administration", security(("session" = [])),
    params(("org_id" = OrgId, Path, description = "Id of the organisation")), request_body = AppointOrgOwnerRequest,
    responses((status = 200, description = "The new owner, as a member of the organisation", body = MemberResponse)),
)]
#[post("/admin/orgs/{org_id}/owners")]
async fn appoint_org_owner(
    mut caller: Caller<Admin>,
    Path(org_id): Path<OrgId>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    state
        .db
        .read(caller.now(), move |tx| orgs::find_org(tx, org_id))
        .await?;
    let request: AppointOrgOwnerRequest = input.json().await?;
    let user_id = request.user_id.id()?;
    let find_new_owner = move |tx: &mut Tx<'_>, _: &Caller<Admin>| users::find(tx, user_id);
    caller.clone().transaction(&state, find_new_owner).await?;
    users::require_fresh(&state, &mut caller, request.current_password).await?;
    let new_owner = MemberKey { org_id, user_id };
    caller
        .locking(move |tx| operations::lock_accounts(tx, new_owner))
        .idempotent_transaction(&state.clone(), idempotent, move |tx, caller| {
            let member = operations::appoint_owner(tx, caller, new_owner)?;
            MemberResponse::ok(member, &state)
        })
        .await
}
