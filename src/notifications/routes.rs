//! `/notifications` and what is below it.

use actix_web::{HttpResponse, delete, get, patch, post, put, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{Action, Notification, NotificationState, NotificationType};
use super::operations;
use super::store::{self, Filter};
use super::stream::Centre;
use super::text::Words;
use crate::auth::{Caller, NotificationsRead, Session};
use crate::error::{Error, FieldCode, Invalid};
use crate::http::{ApiResponse, Idempotent, Path, RequestInput};
use crate::request_type;
use crate::state::State;
use crate::values::ids::NotificationId;
use crate::values::{Cursors, PageQuery, Precondition};
use crate::values::{FieldValue, Fields, FromFields, Patch, Timestamp, ValueErrors};

/// The routes of this slice; what is fixed comes before what is an id.
pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(list_notifications)
        .service(super::stream::stream_notifications)
        .service(get_notification_preferences)
        .service(replace_notification_preferences)
        .service(read_all_notifications)
        .service(update_notification)
        .service(delete_notification);
}

/// A notification, in the reader's language.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Notification)]
pub struct NotificationResponse {
    /// The notification.
    pub id: NotificationId,
    /// What it tells of.
    #[serde(rename = "type")]
    #[schema(value_type = NotificationType)]
    pub kind: String,
    /// One line of plain text.
    pub title: String,
    /// Plain text.
    pub body: String,
    /// What the text is made of, by type.
    #[schema(value_type = Object)]
    pub data: Value,
    /// What can be done about it now.
    pub actions: Vec<Action>,
    /// Whether it was read.
    pub state: NotificationState,
    /// Since when there is nothing left to decide; null while there is, and where there never was.
    pub resolved_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl NotificationResponse {
    /// As shown at `now`.
    pub fn of(notification: Notification, words: &Words, now: DateTime<Utc>) -> Self {
        let (title, body) = words.of(notification.locale(), &notification.kind, &notification.data);
        Self {
            id: notification.id,
            title,
            body,
            data: notification.shown_data(),
            actions: notification.actions(now),
            state: notification.state(),
            resolved_at: notification.resolved_at(now).map(Timestamp),
            created_at: notification.created_at.into(),
            kind: notification.kind,
        }
    }
}

/// A page of notifications.
#[derive(Serialize, ToSchema)]
#[schema(as = NotificationPage)]
pub struct NotificationPageResponse {
    /// The newest first.
    pub data: Vec<NotificationResponse>,
    /// What to send as `cursor` for the next page; null on the last one.
    pub next_cursor: Option<String>,
    /// How many are unread, whatever the filters.
    pub unread_count: i64,
}

/// Which notifications are wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct ListNotificationsQuery {
    /// Only these.
    #[param(required = false, nullable = false, inline)]
    state: Option<NotificationState>,
    /// Only those of this type.
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

/// List one's notifications
///
/// The newest first, in the language of the profile.
#[utoipa::path(
    operation_id = "listNotifications", tag = "Notifications",
    security(("session" = []), ("api_key" = ["notifications:read"])), params(ListNotificationsQuery, PageQuery),
    responses((status = 200, description = "A page", body = NotificationPageResponse)),
)]
#[get("/notifications")]
async fn list_notifications(
    caller: Caller<NotificationsRead>,
    input: RequestInput,
    state: web::Data<State>,
    centre: web::Data<Centre>,
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
        .map(|row| NotificationResponse::of(row, &centre.words, caller.now()));
    ApiResponse::ok(&NotificationPageResponse {
        data: page.data,
        next_cursor: page.next_cursor,
        unread_count,
    })
}

request_type! {
    /// What to change of a notification.
    #[derive(ToSchema)]
    pub struct UpdateNotificationRequest {
        /// Whether it is read.
        #[schema(value_type = NotificationState, required = false)]
        pub state: Patch<NotificationState>,
    }
}

/// Mark a notification read or unread
#[utoipa::path(
    operation_id = "updateNotification", tag = "Notifications", security(("session" = [])),
    params(
        ("notification_id" = NotificationId, Path, description = "The notification"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` it was read with"),
    ),
    request_body = UpdateNotificationRequest,
    responses((status = 200, description = "The notification", body = NotificationResponse)),
)]
#[patch("/notifications/{notification_id}")]
async fn update_notification(
    caller: Caller<Session>,
    Path(id): Path<NotificationId>,
    precondition: Precondition,
    input: RequestInput,
    state: web::Data<State>,
    centre: web::Data<Centre>,
) -> Result<ApiResponse, Error> {
    let user_id = caller.user_id;
    // Who has no such notification is told so before what they sent is looked at.
    let found = state
        .db
        .read(caller.now(), move |tx| store::list_named(tx, user_id, &[id]));
    if found.await?.is_empty() {
        return Err(Error::not_found());
    }
    let request: UpdateNotificationRequest = input.merge_patch().await?;
    let now = caller.now();
    let notification = state
        .db
        .transaction(now, move |tx| {
            operations::set_state(tx, &caller, id, &precondition, request.state.set())
        })
        .await?;
    let version = notification.version();
    Ok(ApiResponse::ok(&NotificationResponse::of(notification, &centre.words, now))?.etag(version))
}

/// Mark all notifications read
#[utoipa::path(
    operation_id = "readAllNotifications", tag = "Notifications", security(("session" = [])),
    responses((status = 204, description = "None is unread")),
)]
#[post("/notifications/read-all")]
async fn read_all_notifications(
    caller: Caller<Session>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    input.none().await?;
    idempotent
        .transaction(&state.db, caller.now(), move |tx| {
            store::read_all(tx, caller.user_id)?;
            Ok(ApiResponse::no_content())
        })
        .await
}

/// Delete a notification
#[utoipa::path(
    operation_id = "deleteNotification", tag = "Notifications", security(("session" = [])),
    params(("notification_id" = NotificationId, Path, description = "The notification")),
    responses((status = 204, description = "It is gone")),
)]
#[delete("/notifications/{notification_id}")]
async fn delete_notification(
    caller: Caller<Session>,
    Path(id): Path<NotificationId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let user_id = caller.user_id;
    let found = state
        .db
        .read(caller.now(), move |tx| store::list_named(tx, user_id, &[id]));
    if found.await?.is_empty() {
        return Err(Error::not_found());
    }
    input.none().await?;
    state
        .db
        .transaction(caller.now(), move |tx| operations::delete(tx, user_id, id))
        .await?;
    Ok(ApiResponse::no_content())
}

/// Which notifications come by mail as well, by type.
#[derive(Clone, Debug, Default)]
pub struct MailPreferences(Vec<(NotificationType, bool)>);

impl FieldValue for MailPreferences {
    fn parse(value: Value) -> Result<Self, ValueErrors> {
        let Value::Object(members) = value else {
            return Err(Invalid::new(FieldCode::InvalidType, "Must be an object.").into());
        };
        let mut preferences = Vec::new();
        let mut errors = ValueErrors::default();
        for (word, value) in members {
            let below = format!("/{}", word.replace('~', "~0").replace('/', "~1"));
            match (NotificationType::from_name(&word), value) {
                (None, _) => {
                    errors.push(&below, Invalid::new(FieldCode::UnknownField, "There is no such type."));
                }
                (Some(kind), Value::Bool(false)) if kind.is_security() => {
                    let detail = "Mail about the safety of the account cannot be switched off.";
                    errors.push(&below, Invalid::new(FieldCode::NotAllowed, detail));
                }
                (Some(kind), Value::Bool(wanted)) => preferences.push((kind, wanted)),
                (Some(_), _) => errors.push(&below, Invalid::new(FieldCode::InvalidType, "Must be true or false.")),
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
    /// What comes by mail.
    #[derive(ToSchema)]
    pub struct ReplaceNotificationPreferencesRequest {
        /// By type, whether it comes by mail as well; a type left out does.
        #[schema(value_type = std::collections::HashMap<String, bool>)]
        pub mail: MailPreferences,
    }
}

/// What comes by mail.
#[derive(Serialize, ToSchema)]
#[schema(as = NotificationPreferences)]
pub struct NotificationPreferencesResponse {
    /// By type, whether it comes by mail as well.
    #[schema(value_type = std::collections::HashMap<String, bool>)]
    pub mail: Map<String, Value>,
}

impl NotificationPreferencesResponse {
    fn of(preferences: Vec<(NotificationType, bool)>) -> Self {
        let member = |(kind, wanted): (NotificationType, bool)| (kind.as_str().to_owned(), wanted.into());
        Self {
            mail: preferences.into_iter().map(member).collect(),
        }
    }
}

/// See which notifications come by mail
#[utoipa::path(
    operation_id = "getNotificationPreferences", tag = "Notifications", security(("session" = [])),
    responses((status = 200, description = "Every type", body = NotificationPreferencesResponse)),
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
        .read(caller.now(), move |tx| operations::preferences(tx, caller.user_id))
        .await?;
    ApiResponse::ok(&NotificationPreferencesResponse::of(preferences))
}

/// Choose which notifications come by mail
///
/// Replaces the whole choice. What tells of the safety of the account always comes.
#[utoipa::path(
    operation_id = "replaceNotificationPreferences", tag = "Notifications", security(("session" = [])),
    request_body = ReplaceNotificationPreferencesRequest,
    responses((status = 200, description = "Every type", body = NotificationPreferencesResponse)),
)]
#[put("/notifications/preferences")]
async fn replace_notification_preferences(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let request: ReplaceNotificationPreferencesRequest = input.json().await?;
    let preferences = state
        .db
        .transaction(caller.now(), move |tx| {
            let MailPreferences(chosen) = request.mail;
            let unwanted: Vec<_> = chosen
                .iter()
                .filter(|(_, wanted)| !wanted)
                .map(|(kind, _)| *kind)
                .collect();
            store::replace_opt_outs(tx, caller.user_id, &unwanted)?;
            operations::preferences(tx, caller.user_id)
        })
        .await?;
    ApiResponse::ok(&NotificationPreferencesResponse::of(preferences))
}
