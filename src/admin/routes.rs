//! `/admin`.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, patch, post, web};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{self, AnnouncementBody, AnnouncementTitle, Filter, UserResponse, UserSearch};
use super::operations::{self, UserPatch};
use crate::audit::{self, AuditLogQuery, AuditRecordResponse};
use crate::auth::{Admin, Caller, PlatformRole};
use crate::error::Error;
use crate::http::{ApiResponse, Idempotent, Path, RequestInput};
use crate::notifications::Announcement;
use crate::request_type;
use crate::state::State;
use crate::users::{self, User, UserStatus};
use crate::values::ids::{OrgId, UserId};
use crate::values::{Cursors, IdRef, Page, PageQuery, Patch, Precondition, Timestamp};

pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(list_users)
        .service(get_user)
        .service(update_user)
        .service(revoke_user_sessions)
        .service(list_audit_log)
        .service(create_announcement);
}

request_type! {
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    struct ListUsersQuery {
        /// Part of the e-mail address, the username or the nickname, case-insensitive.
        #[param(required = false, nullable = false, value_type = String, min_length = 1, max_length = 254)]
        q: Option<UserSearch>,
        /// Status of the account.
        #[param(required = false, nullable = false, inline)]
        status: Option<UserStatus>,
    }
}

/// List users
///
/// Returns all accounts that match the filters, newest first. Needs the platform role `admin`.
#[utoipa::path(
    operation_id = "listUsers", tag = "Administration", security(("session" = [])), params(ListUsersQuery, PageQuery),
    responses((status = 200, description = "A page of accounts", body = Page<UserResponse>)),
)]
#[get("/admin/users")]
async fn list_users(caller: Caller<Admin>, input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    let (query, PageQuery { limit, cursor }): (ListUsersQuery, PageQuery) = input.query()?;
    let filter = Filter {
        search: query.q.map(UserSearch::into_string),
        status: query.status,
    };
    let cursors = Cursors::new(&state.secret, format!("users: {filter:?}"));
    let after = cursors.read(cursor.as_deref())?;
    let users = state
        .db
        .read(caller.now(), move |tx| operations::list(tx, &filter, after, limit + 1))
        .await?;
    let page = cursors.page(users, limit, |user| (user.created_at, user.id))?;
    ApiResponse::ok(&page.map(UserResponse::from))
}

fn respond(user: User) -> Result<ApiResponse, Error> {
    let version = model::version(&user);
    Ok(ApiResponse::ok(&UserResponse::from(user))?.etag(version))
}

/// Get a user
///
/// Returns an account. Needs the platform role `admin`.
#[utoipa::path(
    operation_id = "getUser", tag = "Administration", security(("session" = [])),
    params(("user_id" = UserId, Path, description = "Id of the account")),
    responses((status = 200, description = "The account", body = UserResponse)),
)]
#[get("/admin/users/{user_id}")]
async fn get_user(
    caller: Caller<Admin>,
    Path(id): Path<UserId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let user = state.db.read(caller.now(), move |tx| users::find(tx, id)).await?;
    input.none().await?;
    respond(user)
}

request_type! {
    /// The fields of an account to change. Absent fields keep their value.
    #[derive(ToSchema)]
    pub struct UpdateUserRequest {
        /// Role on the platform.
        #[schema(value_type = PlatformRole, required = false)]
        pub role: Patch<PlatformRole>,
        /// Whether the account is disabled.
        #[schema(value_type = bool, required = false)]
        pub disabled: Patch<bool>,
    }
}

/// Update a user
///
/// Changes the role of a user, or disables or enables the account. Disabling ends all sessions, revokes all
/// pending invitations and suspends all API keys of the user at once; enabling makes the API keys valid again. Platform admins cannot change their own account. Needs the
/// platform role `admin`.
#[utoipa::path(
    operation_id = "updateUser", tag = "Administration", security(("session" = [])),
    params(
        ("user_id" = UserId, Path, description = "Id of the account"),
        ("If-Match" = Option<String>, Header, description = "`ETag` of the account when it was read"),
    ),
    request_body = UpdateUserRequest,
    responses((status = 200, description = "The updated account", body = UserResponse)),
)]
#[patch("/admin/users/{user_id}")]
async fn update_user(
    caller: Caller<Admin>,
    Path(id): Path<UserId>,
    precondition: Precondition,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let checked_caller = caller.clone();
    state
        .db
        .read(caller.now(), move |tx| {
            operations::require_changeable(tx, &checked_caller, id)
        })
        .await?;
    let request: UpdateUserRequest = input.merge_patch().await?;
    let patch = UserPatch {
        role: request.role.set(),
        disabled: request.disabled.set(),
    };
    let user = caller
        .locking(move |_| Ok(vec![id]))
        .transaction(&state, move |tx, caller| {
            operations::update(tx, caller, id, &precondition, patch)
        })
        .await?;
    respond(user)
}

/// End all sessions of a user
///
/// Ends all sessions of the user: their access and refresh tokens are refused from then on. API keys keep working. Needs
/// the platform role `admin`.
#[utoipa::path(
    operation_id = "revokeUserSessions", tag = "Administration", security(("session" = [])),
    params(("user_id" = UserId, Path, description = "Id of the account")),
    responses((status = 204, description = "All sessions have ended")),
)]
#[post("/admin/users/{user_id}/revoke-sessions")]
async fn revoke_user_sessions(
    caller: Caller<Admin>,
    Path(id): Path<UserId>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    state.db.read(caller.now(), move |tx| users::find(tx, id)).await?;
    input.none().await?;
    caller
        .locking(move |_| Ok(vec![id]))
        .idempotent_transaction(&state, idempotent, move |tx, caller| {
            operations::revoke_sessions(tx, caller, id)?;
            Ok(ApiResponse::no_content())
        })
        .await
}

/// List the audit log of the platform
///
/// Returns all audit records, newest first. Needs the platform role `admin`.
#[utoipa::path(
    operation_id = "listAuditLog", tag = "Administration", security(("session" = [])),
    params(AuditLogQuery, PageQuery),
    responses((status = 200, description = "A page of audit records", body = Page<AuditRecordResponse>)),
)]
#[get("/admin/audit-log")]
async fn list_audit_log(
    _caller: Caller<Admin>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let (query, page): (AuditLogQuery, PageQuery) = input.query()?;
    ApiResponse::ok(&audit::list(&state, audit::Scope::Platform, &query, page).await?)
}

request_type! {
    /// The announcement to send.
    #[derive(ToSchema)]
    pub struct CreateAnnouncementRequest {
        /// Title, one line.
        pub title: AnnouncementTitle,
        /// Plain text, which may have several lines.
        pub body: AnnouncementBody,
        /// Organisation whose members receive the announcement; all users if absent.
        #[schema(value_type = Option<OrgId>)]
        pub org_id: Option<IdRef<OrgId>>,
    }
}

/// An announcement that was sent.
#[derive(Serialize, ToSchema)]
#[schema(as = Announcement)]
pub struct AnnouncementResponse {
    /// Title, one line.
    pub title: String,
    /// Plain text, which may have several lines.
    pub body: String,
    /// Organisation whose members received the announcement; null: all users.
    pub org_id: Option<OrgId>,
    /// Number of recipients.
    pub recipients: usize,
    /// Time at which the announcement was sent.
    pub created_at: Timestamp,
}

/// Send an announcement
///
/// Notifies all users, or all members of an organisation, whose e-mail address is verified and whose account is not
/// disabled, in the app and, unless they opted out, by e-mail. Needs the platform role `admin`.
#[utoipa::path(
    operation_id = "createAnnouncement", tag = "Administration", security(("session" = [])),
    request_body = CreateAnnouncementRequest,
    responses((status = 201, description = "The announcement was sent", body = AnnouncementResponse)),
)]
#[post("/admin/announcements")]
async fn create_announcement(
    caller: Caller<Admin>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let request: CreateAnnouncementRequest = input.json().await?;
    let announcement = Announcement {
        title: request.title.into_string(),
        body: request.body.into_string(),
        org_id: request.org_id.map(IdRef::id).transpose()?,
    };
    caller
        .idempotent_transaction(&state, idempotent, move |tx, caller| {
            let recipients = operations::announce(tx, caller, &announcement)?;
            let Announcement { title, body, org_id } = announcement.clone();
            let response = AnnouncementResponse {
                title,
                body,
                org_id,
                recipients,
                created_at: caller.now().into(),
            };
            ApiResponse::json(StatusCode::CREATED, &response)
        })
        .await
}
