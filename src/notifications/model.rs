//! Stored notifications, and the state and actions that follow from their columns.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::event::NotificationType;
use crate::values::ids::{EmailChangeId, InvitationId, JoinRequestId, NotificationId, OrgId, UserId};
use crate::values::locale::Locale;
use crate::values::string_enum;

string_enum! {
    /// Whether a notification was read.
    pub enum NotificationState {
        /// Not read yet.
        Unread "unread",
        /// Read.
        Read "read",
    }
}

/// The user to notify, with the address and language of the e-mail.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    pub user_id: UserId,
    pub email: &'a str,
    pub locale: Locale,
}

/// A stored notification, with the columns of other tables that its text and state depend on.
#[derive(Clone, Debug, Queryable)]
pub struct Notification {
    pub id: NotificationId,
    /// The type as stored. A newer version of the program may have written one that this version does not have.
    pub kind: String,
    pub data: Value,
    invitation_id: Option<InvitationId>,
    join_request_id: Option<JoinRequestId>,
    email_change_id: Option<EmailChangeId>,
    pub created_at: DateTime<Utc>,
    pub read_at: Option<DateTime<Utc>>,
    resolved_at: Option<DateTime<Utc>>,
    invitation_expires_at: Option<DateTime<Utc>>,
    email_change_expires_at: Option<DateTime<Utc>>,
    /// The reader's language.
    pub locale: Locale,
}

impl Notification {
    pub const fn state(&self) -> NotificationState {
        if self.read_at.is_some() {
            NotificationState::Read
        } else {
            NotificationState::Unread
        }
    }

    /// The version behind its `ETag`: clients can change nothing but its state.
    pub fn version(&self) -> i64 {
        i64::from(self.read_at.is_some())
    }

    /// The API requests with which the reader can decide at `now`.
    pub fn actions(&self, now: DateTime<Utc>) -> Vec<NotificationAction> {
        if self.resolved_at(now).is_some() {
            return Vec::new();
        }
        let action = |name, method, path| NotificationAction { name, method, path };
        if let Some(id) = self.invitation_id {
            vec![
                action("accept", "POST", format!("/invitations/{id}/accept")),
                action("decline", "POST", format!("/invitations/{id}/decline")),
            ]
        } else if let Some(id) = self.join_request_id {
            let org_id = self.data.get("org_id").and_then(Value::as_str).unwrap_or_default();
            let request = format!("/orgs/{org_id}/join-requests/{id}");
            vec![
                action("approve", "POST", format!("{request}/approve")),
                action("reject", "POST", format!("{request}/reject")),
            ]
        } else if self.email_change_id.is_some() {
            vec![
                action("resend", "POST", "/email/resend".to_owned()),
                action("cancel", "DELETE", "/email/pending".to_owned()),
            ]
        } else {
            Vec::new()
        }
    }

    /// When the decision was made or its subject expired; `None` while it is pending, and where there is none.
    pub fn resolved_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let expires_at = self.invitation_expires_at.or(self.email_change_expires_at);
        self.resolved_at.or_else(|| expires_at.filter(|at| *at <= now))
    }
}

/// A request with which the reader can act on a notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct NotificationAction {
    /// Name of the action.
    #[schema(example = "accept")]
    pub name: &'static str,
    /// HTTP method of the request.
    #[schema(example = "POST")]
    pub method: &'static str,
    /// Path of the request, relative to the public URL.
    #[schema(example = "/invitations/019a0000-0000-7000-8000-000000000000/accept")]
    pub path: String,
}

/// Whether the user receives notifications of a type by e-mail as well.
#[derive(Clone, Copy, Debug)]
pub struct MailPreference {
    pub notification_type: NotificationType,
    pub wanted: bool,
}

/// A message of the platform's operators to all users, or to all members of an organisation.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// One line.
    pub title: String,
    pub body: String,
    /// The organisation whose members receive it; `None` for all users.
    pub org_id: Option<OrgId>,
}
