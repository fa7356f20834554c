//! `/admin`.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, patch, post, web};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{AnnouncementBody, AnnouncementTitle, UserResponse, UserSearch, UserStatus};
use super::operations::{self, Changes};
use super::store::{self, Filter};
use crate::audit::{self, AuditLogQuery, AuditRecordResponse, Scope};
use crate::auth::{Admin, Caller, PlatformRole};
use crate::error::Error;
use crate::http::{ApiResponse, Idempotent, Path, RequestInput};
use crate::notifications::Announcement;
use crate::request_type;
use crate::state::State;
use crate::values::ids::{OrgId, UserId};
use crate::values::{Cursors, Page, PageQuery, Precondition};
use crate::values::{Fields, FromFields, IdRef, Patch, Timestamp};

/// The routes of this slice.
pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(list_users)
        .service(get_user)
        .service(update_user)
        .service(revoke_user_sessions)
        .service(list_audit_log)
        .service(create_announcement);
}

/// Which people are wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct ListUsersQuery {
    /// Part of the address, the username or the nickname, in any case.
    #[param(required = false, nullable = false, value_type = String, min_length = 1, max_length = 254)]
    q: Option<UserSearch>,
    /// Only these.
    #[param(required = false, nullable = false, inline)]
    status: Option<UserStatus>,
    #[param(ignore)]
    page: PageQuery,
}

impl FromFields for ListUsersQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let q = fields.take("q");
        let status = fields.take("status");
        let page = PageQuery::from_fields(fields);
        Some(Self {
            q: q?,
            status: status?,
            page: page?,
        })
    }
}

/// List people
///
/// The newest first.
#[utoipa::path(
    operation_id = "listUsers", tag = "Administration", security(("session" = [])), params(ListUsersQuery, PageQuery),
    responses((status = 200, description = "A page", body = Page<UserResponse>)),
)]
#[get("/admin/users")]
async fn list_users(caller: Caller<Admin>, input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    let query: ListUsersQuery = input.query()?;
    let limit = query.page.limit;
    let filter = Filter {
        q: query.q.map(UserSearch::into_string),
        status: query.status,
    };
    let cursors = Cursors::new(&state.secret, format!("users: {filter:?}"));
    let after = cursors.read(query.page.cursor.as_deref())?;
    let rows = state
        .db
        .read(caller.now(), move |tx| store::list(tx, &filter, after, limit + 1))
        .await?;
    let page = cursors.page(rows, limit, |row| (row.created_at, row.id))?;
    ApiResponse::ok(&page.map(UserResponse::from))
}

/// Get a person
#[utoipa::path(
    operation_id = "getUser", tag = "Administration", security(("session" = [])),
    params(("user_id" = UserId, Path, description = "The person")),
    responses((status = 200, description = "The person", body = UserResponse)),
)]
#[get("/admin/users/{user_id}")]
async fn get_user(
    caller: Caller<Admin>,
    Path(id): Path<UserId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let user = state.db.read(caller.now(), move |tx| operations::find(tx, id)).await?;
    input.none().await?;
    let version = user.version();
    Ok(ApiResponse::ok(&UserResponse::from(user))?.etag(version))
}

request_type! {
    /// What to change of a person.
    #[derive(ToSchema)]
    pub struct UpdateUserRequest {
        /// Their role on the platform.
        #[schema(value_type = PlatformRole, required = false)]
        pub role: Patch<PlatformRole>,
        /// Whether the account is disabled.
        #[schema(value_type = bool, required = false)]
        pub disabled: Patch<bool>,
    }
}

/// Disable a person, or change their role
///
/// Disabling ends all sessions and suspends all API keys at once; enabling revives the keys. Nobody can change themselves.
#[utoipa::path(
    operation_id = "updateUser", tag = "Administration", security(("session" = [])),
    params(
        ("user_id" = UserId, Path, description = "The person"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` they were read with"),
    ),
    request_body = UpdateUserRequest,
    responses((status = 200, description = "The person", body = UserResponse)),
)]
#[patch("/admin/users/{user_id}")]
async fn update_user(
    caller: Caller<Admin>,
    Path(id): Path<UserId>,
    precondition: Precondition,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let looker = caller.clone();
    state
        .db
        .read(caller.now(), move |tx| operations::find_other(tx, &looker, id))
        .await?;
    let request: UpdateUserRequest = input.merge_patch().await?;
    let changes = Changes {
        role: request.role.set(),
        disabled: request.disabled.set(),
    };
    let user = state
        .db
        .transaction(caller.now(), move |tx| {
            operations::update(tx, &caller, id, &precondition, changes)
        })
        .await?;
    let version = user.version();
    Ok(ApiResponse::ok(&UserResponse::from(user))?.etag(version))
}

/// End all sessions of a person
#[utoipa::path(
    operation_id = "revokeUserSessions", tag = "Administration", security(("session" = [])),
    params(("user_id" = UserId, Path, description = "The person")),
    responses((status = 204, description = "They have ended")),
)]
#[post("/admin/users/{user_id}/revoke-sessions")]
async fn revoke_user_sessions(
    caller: Caller<Admin>,
    Path(id): Path<UserId>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    state.db.read(caller.now(), move |tx| operations::find(tx, id)).await?;
    input.none().await?;
    idempotent
        .transaction(&state.db, caller.now(), move |tx| {
            operations::revoke_sessions(tx, &caller, id)?;
            Ok(ApiResponse::no_content())
        })
        .await
}

/// List what happened on the platform
///
/// The newest first.
#[utoipa::path(
    operation_id = "listAuditLog", tag = "Administration", security(("session" = [])),
    params(AuditLogQuery, PageQuery),
    responses((status = 200, description = "A page", body = Page<AuditRecordResponse>)),
)]
#[get("/admin/audit-log")]
async fn list_audit_log(
    _caller: Caller<Admin>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let query: AuditLogQuery = input.query()?;
    ApiResponse::ok(&audit::list(&state, Scope::Platform, &query).await?)
}

request_type! {
    /// What to tell, and whom.
    #[derive(ToSchema)]
    pub struct CreateAnnouncementRequest {
        /// One line.
        pub title: AnnouncementTitle,
        /// The text.
        pub body: AnnouncementBody,
        /// Whose members are told; absent: everybody.
        #[schema(value_type = Option<OrgId>)]
        pub org_id: Option<IdRef<OrgId>>,
    }
}

/// An announcement that was made.
#[derive(Serialize, ToSchema)]
#[schema(as = Announcement)]
pub struct AnnouncementResponse {
    /// One line.
    pub title: String,
    /// The text.
    pub body: String,
    /// Whose members were told; null: everybody.
    pub org_id: Option<OrgId>,
    /// How many people were told.
    pub recipients: usize,
    /// When.
    pub created_at: Timestamp,
}

/// Tell everybody, or all members of an organisation
///
/// In the notification centre of everybody whose address is proven and who is not disabled, and by mail for those who want
/// announcements by mail.
#[utoipa::path(
    operation_id = "createAnnouncement", tag = "Administration", security(("session" = [])),
    request_body = CreateAnnouncementRequest,
    responses((status = 201, description = "They were told", body = AnnouncementResponse)),
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
    let response = idempotent
        .transaction(&state.db, caller.now(), move |tx| {
            let recipients = operations::announce(tx, &caller, &announcement)?;
            let Announcement { title, body, org_id } = announcement;
            let made = AnnouncementResponse {
                title,
                body,
                org_id,
                recipients,
                created_at: caller.now().into(),
            };
            ApiResponse::json(StatusCode::CREATED, &made)
        })
        .await?;
    Ok(response)
}
