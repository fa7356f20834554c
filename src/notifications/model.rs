//! What there is to tell.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::auth::OrgRole;
use crate::ids::{ApiKeyId, EmailChangeId, InvitationId, JoinRequestId, OrgId, SessionId};

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
