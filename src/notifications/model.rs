//! What there is to tell.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::auth::OrgRole;
use crate::values::ids::{
    ApiKeyId, EmailChangeId, InvitationId, JoinRequestId, NotificationId, OrgId, SessionId, UserId,
};
use crate::values::locale::Locale;
use crate::values::string_enum;

string_enum! {
    /// The types of notifications; the words are those of [`Notice`].
    pub enum NotificationType {
        /// News of the platform or of an organisation.
        Announcement "announcement",
        /// Somebody invites the person into an organisation.
        OrgInvitation "org_invitation",
        /// Somebody wants to join an organisation the person runs.
        JoinRequest "join_request",
        /// The person's own request to join was decided.
        JoinRequestDecided "join_request_decided",
        /// The person has another role in an organisation.
        MemberRoleChanged "member_role_changed",
        /// The person is no longer a member of an organisation.
        MemberRemoved "member_removed",
        /// A new address waits for confirmation.
        EmailChangePending "email_change_pending",
        /// The address was changed.
        EmailChanged "email_changed",
        /// The password was changed or reset.
        PasswordChanged "password_changed",
        /// An API key was made.
        ApiKeyCreated "api_key_created",
        /// An API key is about to expire.
        ApiKeyExpiring "api_key_expiring",
        /// An API key was ended.
        ApiKeyRevoked "api_key_revoked",
        /// A log-in with a program not seen before.
        NewSignIn "new_sign_in",
        /// An old refresh token was presented again; the session was ended.
        RefreshTokenReused "refresh_token_reused",
    }
}

impl NotificationType {
    /// Whether it tells of something that may be an attack, so that its mail cannot be switched off.
    pub const fn is_security(self) -> bool {
        matches!(
            self,
            Self::PasswordChanged
                | Self::EmailChangePending
                | Self::EmailChanged
                | Self::ApiKeyCreated
                | Self::ApiKeyRevoked
                | Self::NewSignIn
                | Self::RefreshTokenReused
        )
    }
}

string_enum! {
    /// Whether a notification was read.
    pub enum NotificationState {
        /// Not yet.
        Unread "unread",
        /// It was.
        Read "read",
    }
}

/// A piece of news: its type, and the data its text is made of. A secret is never among them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are the words of the text")]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Notice {
    /// Somebody invites the person into an organisation.
    OrgInvitation {
        org_id: OrgId,
        org_name: String,
        role: OrgRole,
        invited_by: Option<String>,
    },
    /// Somebody wants to join an organisation the person runs.
    JoinRequest {
        org_id: OrgId,
        org_name: String,
        person: String,
        message: Option<String>,
    },
    /// The person's own request to join was decided.
    JoinRequestDecided {
        org_id: OrgId,
        org_name: String,
        approved: bool,
        reason: Option<String>,
    },
    /// The person has another role now.
    MemberRoleChanged {
        org_id: OrgId,
        org_name: String,
        role: OrgRole,
    },
    /// The person is no longer a member.
    MemberRemoved { org_id: OrgId, org_name: String },
    /// A new address waits for confirmation.
    EmailChangePending {
        new_email: String,
        #[serde(with = "instant")]
        expires_at: DateTime<Utc>,
    },
    /// The address was changed.
    EmailChanged { old_email: String, new_email: String },
    /// The password was changed or reset.
    PasswordChanged {},
    /// A key was made.
    ApiKeyCreated {
        api_key_id: ApiKeyId,
        name: String,
        hint: String,
    },
    /// A key is about to expire.
    ApiKeyExpiring {
        api_key_id: ApiKeyId,
        name: String,
        hint: String,
        days: i32,
        #[serde(with = "instant")]
        expires_at: DateTime<Utc>,
    },
    /// A key was ended by somebody else.
    ApiKeyRevoked {
        api_key_id: ApiKeyId,
        name: String,
        hint: String,
        org_name: Option<String>,
    },
    /// Somebody logged in with a program not seen before.
    NewSignIn {
        session_id: SessionId,
        user_agent: Option<String>,
        ip: String,
    },
    /// An old refresh token was presented again; the session was ended.
    RefreshTokenReused { session_id: SessionId, ip: String },
    /// News of the platform or of an organisation.
    Announcement {
        title: String,
        body: String,
        org_id: Option<OrgId>,
    },
}

impl Notice {
    /// Its type.
    pub const fn kind(&self) -> NotificationType {
        match self {
            Self::OrgInvitation { .. } => NotificationType::OrgInvitation,
            Self::JoinRequest { .. } => NotificationType::JoinRequest,
            Self::JoinRequestDecided { .. } => NotificationType::JoinRequestDecided,
            Self::MemberRoleChanged { .. } => NotificationType::MemberRoleChanged,
            Self::MemberRemoved { .. } => NotificationType::MemberRemoved,
            Self::EmailChangePending { .. } => NotificationType::EmailChangePending,
            Self::EmailChanged { .. } => NotificationType::EmailChanged,
            Self::PasswordChanged {} => NotificationType::PasswordChanged,
            Self::ApiKeyCreated { .. } => NotificationType::ApiKeyCreated,
            Self::ApiKeyExpiring { .. } => NotificationType::ApiKeyExpiring,
            Self::ApiKeyRevoked { .. } => NotificationType::ApiKeyRevoked,
            Self::NewSignIn { .. } => NotificationType::NewSignIn,
            Self::RefreshTokenReused { .. } => NotificationType::RefreshTokenReused,
            Self::Announcement { .. } => NotificationType::Announcement,
        }
    }

    /// The data of its text, as stored.
    pub fn data(&self) -> Result<Value, serde_json::Error> {
        let mut tagged = serde_json::to_value(self)?;
        Ok(tagged.get_mut("data").map(Value::take).unwrap_or_default())
    }
}

/// Instants in the data look as everywhere in the API.
mod instant {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::values::Timestamp;

    pub fn serialize<S: Serializer>(instant: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
        Timestamp(*instant).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        DateTime::deserialize(deserializer)
    }
}

/// Who is told, and where and how to write to them.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// The person.
    pub user_id: UserId,
    /// The address mail goes to.
    pub email: &'a str,
    /// The language mail is written in.
    pub locale: Locale,
}

/// What a notification is about, where that can still be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An invitation.
    Invitation(InvitationId),
    /// A request to join.
    JoinRequest(JoinRequestId),
    /// A change of address.
    EmailChange(EmailChangeId),
}

/// A notification, as stored, with what decides how it is shown.
#[derive(Clone, Debug, Queryable)]
pub struct Notification {
    pub id: NotificationId,
    pub kind: String,
    pub data: Value,
    pub invitation_id: Option<InvitationId>,
    pub join_request_id: Option<JoinRequestId>,
    pub email_change_id: Option<EmailChangeId>,
    pub created_at: DateTime<Utc>,
    pub read_at: Option<DateTime<Utc>>,
    resolved_at: Option<DateTime<Utc>>,
    invitation_expires_at: Option<DateTime<Utc>>,
    email_change_expires_at: Option<DateTime<Utc>>,
    locale: String,
}

impl Notification {
    /// The reader's language.
    pub fn locale(&self) -> Locale {
        Locale::stored(&self.locale)
    }

    /// Whether it was read.
    pub const fn state(&self) -> NotificationState {
        if self.read_at.is_some() {
            NotificationState::Read
        } else {
            NotificationState::Unread
        }
    }

    /// What its entity tag is made of: its state is all that can be changed.
    pub fn version(&self) -> i64 {
        i64::from(self.read_at.is_some())
    }

    /// The data of its text, with the ids of what it is about.
    pub fn shown_data(&self) -> Value {
        let mut data = self.data.clone();
        if let Value::Object(members) = &mut data {
            if let Some(id) = self.invitation_id {
                members.insert("invitation_id".to_owned(), id.to_string().into());
            }
            if let Some(id) = self.join_request_id {
                members.insert("join_request_id".to_owned(), id.to_string().into());
            }
        }
        data
    }

    /// What the reader can do about it now.
    pub fn actions(&self, now: DateTime<Utc>) -> Vec<Action> {
        if self.resolved_at(now).is_some() {
            return Vec::new();
        }
        let action = |name, method, path| Action { name, method, path };
        let org_id = self.data.get("org_id").and_then(Value::as_str).unwrap_or_default();
        match NotificationType::from_name(&self.kind) {
            Some(NotificationType::OrgInvitation) => self.invitation_id.map(|id| {
                vec![
                    action("accept", "POST", format!("/invitations/{id}/accept")),
                    action("decline", "POST", format!("/invitations/{id}/decline")),
                ]
            }),
            Some(NotificationType::JoinRequest) => self.join_request_id.map(|id| {
                let request = format!("/orgs/{org_id}/join-requests/{id}");
                vec![
                    action("approve", "POST", format!("{request}/approve")),
                    action("reject", "POST", format!("{request}/reject")),
                ]
            }),
            Some(NotificationType::EmailChangePending) => self.email_change_id.map(|_| {
                vec![
                    action("resend", "POST", "/email/resend".to_owned()),
                    action("cancel", "DELETE", "/email/pending".to_owned()),
                ]
            }),
            _ => None,
        }
        .unwrap_or_default()
    }

    /// Since when there is nothing left to decide: it was decided, or has expired.
    pub fn resolved_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let expires_at = self.invitation_expires_at.or(self.email_change_expires_at);
        self.resolved_at.or_else(|| expires_at.filter(|at| *at <= now))
    }
}

/// A request by which the reader can act on a notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = NotificationAction)]
pub struct Action {
    /// What it does.
    #[schema(example = "accept")]
    pub name: &'static str,
    /// The method.
    #[schema(example = "POST")]
    pub method: &'static str,
    /// The path, from the public URL on.
    #[schema(example = "/invitations/019a0000-0000-7000-8000-000000000000/accept")]
    pub path: String,
}
