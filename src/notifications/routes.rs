//! `/notifications`: list, mark, delete, and choose which are also sent by e-mail.

use actix_web::{HttpResponse, delete, get, patch, post, put, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::event::NotificationType;
use super::model::{MailPreference, Notification, NotificationAction, NotificationState};
use super::operations;
use super::store::{self, Filter};
use super::text::TextCatalog;
use crate::auth::{Caller, NotificationsRead, Session};
use crate::error::{Error, FieldCode, Invalid};
use crate::http::{ApiResponse, Idempotent, Path, RequestInput};
use crate::request_type;
use crate::state::State;
use crate::values::ids::NotificationId;
use crate::values::{
    Cursors, FieldValue, Fields, FromFields, PageQuery, Patch, Precondition, Timestamp, ValueErrors, pointer_segment,
};

/// The routes of this slice; actix matches in this order, so fixed paths precede paths with an id.
pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(list_notifications)
        .service(get_notification_preferences)
        .service(replace_notification_preferences)
        .service(read_all_notifications)
        .service(update_notification)
        .service(delete_notification);
}

/// A notification, in the language of the user's profile.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Notification)]
pub struct NotificationResponse {
    /// Id of the notification.
    pub id: NotificationId,
    /// Type of the notification.
    #[serde(rename = "type")]
    #[schema(value_type = NotificationType)]
    pub kind: String,
    /// Title, one line of plain text.
    pub title: String,
    /// Plain text, which may have several lines.
    pub body: String,
    /// Data of the event; its fields depend on the type.
    #[schema(value_type = Object)]
    pub data: Value,
    /// Requests with which the user can decide; empty once the notification is resolved.
    pub actions: Vec<NotificationAction>,
    /// Whether the notification was read.
    pub state: NotificationState,
    /// Time at which the decision was made or expired; null while it is pending, and for a notification without a decision.
    pub resolved_at: Option<Timestamp>,
    /// Time of the event.
    pub created_at: Timestamp,
}

impl NotificationResponse {
    /// The notification at `now`.
    pub fn new(notification: Notification, texts: &TextCatalog, now: DateTime<Utc>) -> Self {
        let text = texts.notification(notification.locale, &notification.kind, &notification.data);
        Self {
            id: notification.id,
            title: text.title,
            body: text.body,
            actions: notification.actions(now),
            state: notification.state(),
            resolved_at: notification.resolved_at(now).map(Timestamp),
            created_at: notification.created_at.into(),
            kind: notification.kind,
            data: notification.data,
        }
    }
}

/// One page of notifications.
#[derive(Serialize, ToSchema)]
#[schema(as = NotificationPage)]
pub struct NotificationPageResponse {
    /// Notifications, newest first.
    pub data: Vec<NotificationResponse>,
    /// The `cursor` of the next page; null on the last page.
    pub next_cursor: Option<String>,
    /// Number of all unread notifications, regardless of the filters.
    pub unread_count: i64,
}

/// Filters of the list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct ListNotificationsQuery {
    /// Only notifications in this state.
    #[param(required = false, nullable = false, inline)]
    state: Option<NotificationState>,
    /// Only notifications of this type.
    #[param(required = false, nullable = false, inline, rename = "type")]
    kind: Option<NotificationType>,
    #[param(ignore)]
    page: PageQuery,
}

impl FromFields for ListNotificationsQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let state = fields.take("state");
        let kind = fields.take("type");
        let page = PageQuery::from_fields(fields);
        Some(Self {
            state: state?,
            kind: kind?,
            page: page?,
        })
    }
}

/// List notifications
///
/// Returns the caller's notifications, newest first, in the language of their profile.
#[utoipa::path(
    operation_id = "listNotifications", tag = "Notifications",
    security(("session" = []), ("api_key" = ["notifications:read"])), params(ListNotificationsQuery, PageQuery),
    responses((status = 200, description = "A page of notifications", body = NotificationPageResponse)),
)]
#[get("/notifications")]
async fn list_notifications(
    caller: Caller<NotificationsRead>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let query: ListNotificationsQuery = input.query()?;
    let (user_id, limit) = (caller.user_id, query.page.limit);
    let filter = Filter {
        state: query.state,
        kind: query.kind,
    };
    let cursors = Cursors::new(&state.secret, format!("notifications of {user_id}: {filter:?}"));
    let after = cursors.read(query.page.cursor.as_deref())?;
    let (rows, unread_count) = state
        .db
        .read(caller.now(), move |tx| {
            let rows = store::list(tx, user_id, filter, after, limit + 1)?;
            Ok((rows, store::count_unread(tx, user_id)?))
        })
        .await?;
    let page = cursors
        .page(rows, limit, |row| row.id)?
        .map(|row| NotificationResponse::new(row, &state.texts, caller.now()));
    ApiResponse::ok(&NotificationPageResponse {
        data: page.data,
        next_cursor: page.next_cursor,
        unread_count,
    })
}

request_type! {
    /// The fields of a notification to change. Absent fields keep their value.
    #[derive(ToSchema)]
    pub struct UpdateNotificationRequest {
        /// Whether the notification was read.
        #[schema(value_type = NotificationState, required = false)]
        pub state: Patch<NotificationState>,
    }
}

/// Mark a notification read or unread
///
/// Changes the state of one of the caller's notifications.
#[utoipa::path(
    operation_id = "updateNotification", tag = "Notifications", security(("session" = [])),
    params(
        ("notification_id" = NotificationId, Path, description = "Id of the notification"),
        ("If-Match" = Option<String>, Header, description = "`ETag` of the version to change; another version is 412"),
    ),
    request_body = UpdateNotificationRequest,
    responses((status = 200, description = "The updated notification", body = NotificationResponse)),
)]
#[patch("/notifications/{notification_id}")]
async fn update_notification(
    caller: Caller<Session>,
    Path(id): Path<NotificationId>,
    precondition: Precondition,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let user_id = caller.user_id;
    // Before the body is parsed, so that a notification that doesn't exist is a 404 whatever the body.
    state
        .db
        .read(caller.now(), move |tx| operations::find(tx, user_id, id))
        .await?;
    let request: UpdateNotificationRequest = input.merge_patch().await?;
    let new_state = request.state.set();
    let now = caller.now();
    let notification = caller
        .transaction(&state, move |tx, caller| {
            operations::set_state(tx, caller.user_id, id, &precondition, new_state)
        })
        .await?;
    let version = notification.version();
    Ok(ApiResponse::ok(&NotificationResponse::new(notification, &state.texts, now))?.etag(version))
}

/// Mark all notifications read
///
/// Changes the state of all of the caller's unread notifications.
#[utoipa::path(
    operation_id = "readAllNotifications", tag = "Notifications", security(("session" = [])),
    responses((status = 204, description = "All notifications are read")),
)]
#[post("/notifications/read-all")]
async fn read_all_notifications(
    caller: Caller<Session>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    input.none().await?;
    caller
        .idempotent_transaction(&state, idempotent, move |tx, caller| {
            store::read_all(tx, caller.user_id)?;
            Ok(ApiResponse::no_content())
        })
        .await
}

/// Delete a notification
///
/// Deletes one of the caller's notifications. The invitation or request to join that it is about does not change.
#[utoipa::path(
    operation_id = "deleteNotification", tag = "Notifications", security(("session" = [])),
    params(("notification_id" = NotificationId, Path, description = "Id of the notification")),
    responses((status = 204, description = "The notification is deleted")),
)]
#[delete("/notifications/{notification_id}")]
async fn delete_notification(
    caller: Caller<Session>,
    Path(id): Path<NotificationId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let user_id = caller.user_id;
    state
        .db
        .read(caller.now(), move |tx| operations::find(tx, user_id, id))
        .await?;
    input.none().await?;
    caller
        .transaction(&state, move |tx, caller| operations::delete(tx, caller.user_id, id))
        .await?;
    Ok(ApiResponse::no_content())
}

/// The choices in a request, by type.
#[derive(Clone, Debug, Default)]
pub struct MailPreferences(Vec<MailPreference>);

impl FieldValue for MailPreferences {
    fn parse(value: Value) -> Result<Self, ValueErrors> {
        let Value::Object(choices) = value else {
            return Err(Invalid::new(FieldCode::InvalidType, "Must be an object.").into());
        };
        let mut preferences = Vec::new();
        let mut errors = ValueErrors::default();
        for (name, value) in choices {
            let pointer = pointer_segment(&name);
            match (NotificationType::from_name(&name), value) {
                (None, _) => {
                    let detail = "There is no notification type of this name.";
                    errors.push(pointer, Invalid::new(FieldCode::UnknownField, detail));
                }
                (Some(kind), Value::Bool(false)) if kind.is_security() => {
                    let detail = "E-mail about the security of the account cannot be switched off.";
                    errors.push(pointer, Invalid::new(FieldCode::NotAllowed, detail));
                }
                (Some(notification_type), Value::Bool(wanted)) => preferences.push(MailPreference {
                    notification_type,
                    wanted,
                }),
                (Some(_), _) => errors.push(pointer, Invalid::new(FieldCode::InvalidType, "Must be true or false.")),
            }
        }
        if errors.is_empty() {
            Ok(Self(preferences))
        } else {
            Err(errors)
        }
    }
}

request_type! {
    /// The e-mail preferences.
    #[derive(ToSchema)]
    pub struct ReplaceNotificationPreferencesRequest {
        /// For each notification type, whether it is also sent by e-mail. A type that is left out is sent by e-mail.
        #[schema(value_type = std::collections::HashMap<String, bool>)]
        pub mail: MailPreferences,
    }
}

/// The e-mail preferences.
#[derive(Serialize, ToSchema)]
#[schema(as = NotificationPreferences)]
pub struct NotificationPreferencesResponse {
    /// For each notification type, whether it is also sent by e-mail.
    #[schema(value_type = std::collections::HashMap<String, bool>)]
    pub mail: Map<String, Value>,
}

impl NotificationPreferencesResponse {
    fn new(preferences: Vec<MailPreference>) -> Self {
        let field = |preference: MailPreference| {
            let name = preference.notification_type.as_str().to_owned();
            (name, preference.wanted.into())
        };
        Self {
            mail: preferences.into_iter().map(field).collect(),
        }
    }
}

/// Get the e-mail preferences
///
/// Returns for each notification type whether the caller also receives it by e-mail.
#[utoipa::path(
    operation_id = "getNotificationPreferences", tag = "Notifications", security(("session" = [])),
    responses((status = 200, description = "The preference for each type", body = NotificationPreferencesResponse)),
)]
#[get("/notifications/preferences")]
async fn get_notification_preferences(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    let preferences = state
        .db
        .read(caller.now(), move |tx| operations::mail_preferences(tx, caller.user_id))
        .await?;
    ApiResponse::ok(&NotificationPreferencesResponse::new(preferences))
}

/// Replace the e-mail preferences
///
/// Replaces the caller's preferences for all types. A type about the security of the account, such as `password_changed`,
/// cannot be switched off.
#[utoipa::path(
    operation_id = "replaceNotificationPreferences", tag = "Notifications", security(("session" = [])),
    request_body = ReplaceNotificationPreferencesRequest,
    responses((status = 200, description = "The preference for each type", body = NotificationPreferencesResponse)),
)]
#[put("/notifications/preferences")]
async fn replace_notification_preferences(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let request: ReplaceNotificationPreferencesRequest = input.json().await?;
    let preferences = caller
        .transaction(&state, move |tx, caller| {
            let MailPreferences(preferences) = &request.mail;
            operations::replace_mail_preferences(tx, caller.user_id, preferences)
        })
        .await?;
    ApiResponse::ok(&NotificationPreferencesResponse::new(preferences))
}
