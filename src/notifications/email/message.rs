//! What can be said by mail. A [`Message`] is data, stored in the outbox as JSON; the words are in `templates/`.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::link::Link;
use crate::values::ids::OneTimeTokenId;

/// One mail's kind and what its text is made of. It holds no secret: a link stands here as the id of its one-time token.
///
/// Stored messages outlive releases: a variant or field, once released, keeps its name, and a new field is optional.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Message {
    /// The link that makes a registration an account.
    VerifyEmail {
        /// The link's token.
        token_id: OneTimeTokenId,
    },
    /// Somebody signed up with an address that has an account; to its owner, instead of [`Message::VerifyEmail`].
    AlreadyRegistered,
    /// The link that sets a forgotten password anew.
    ResetPassword {
        /// The link's token.
        token_id: OneTimeTokenId,
    },
    /// The password was changed by somebody who knew the old one.
    PasswordChanged {
        /// When.
        at: DateTime<Utc>,
    },
    /// The password was set anew through a mailed link.
    PasswordReset {
        /// When.
        at: DateTime<Utc>,
    },
    /// To the new address of an e-mail change: the link that proves it.
    ConfirmEmail {
        /// The link's token.
        token_id: OneTimeTokenId,
        /// The new address.
        new_email: String,
    },
    /// To the old address, when a change is asked for: the link that stops it.
    EmailChangeRequested {
        /// The link's token.
        token_id: OneTimeTokenId,
        /// The new address.
        new_email: String,
    },
    /// To the old address, when the change took effect: the link that undoes it.
    EmailChanged {
        /// The link's token.
        token_id: OneTimeTokenId,
        /// The old address.
        old_email: String,
        /// The new address.
        new_email: String,
    },
    /// To the owner of an address to which somebody wanted to change theirs.
    EmailTaken,
    /// An API key was made.
    ApiKeyCreated {
        /// The key's name.
        name: String,
        /// What its secret begins with.
        hint: String,
        /// The organisation it acts in; none for a personal key.
        org_name: Option<String>,
    },
    /// An API key expires soon.
    ApiKeyExpiring {
        /// The key's name.
        name: String,
        /// What its secret begins with.
        hint: String,
        /// How many days are left.
        days: u32,
        /// When it expires.
        expires_at: DateTime<Utc>,
    },
    /// An API key was deleted.
    ApiKeyRevoked {
        /// The key's name.
        name: String,
        /// What its secret began with.
        hint: String,
        /// The organisation it acted in; none for a personal key.
        org_name: Option<String>,
        /// Who did it, where it was not the owner.
        by: Option<String>,
    },
    /// A log-in from a device not seen before.
    NewSignIn {
        /// What the device says it is.
        user_agent: Option<String>,
        /// Its network address.
        ip: IpAddr,
        /// When.
        at: DateTime<Utc>,
    },
    /// An outdated refresh token was presented, so the session was ended.
    RefreshTokenReused {
        /// When.
        at: DateTime<Utc>,
    },
    /// The link of an invitation into an organisation.
    Invitation {
        /// The link's token.
        token_id: OneTimeTokenId,
        /// The organisation.
        org_name: String,
        /// Who invites.
        inviter_name: Option<String>,
        /// The role offered: `owner`, `admin` or `member`.
        role: String,
    },
    /// To an organisation's administrators: somebody asks to join.
    JoinRequest {
        /// The organisation.
        org_name: String,
        /// Who asks.
        person: String,
    },
    /// To who asked to join: the decision.
    JoinRequestDecided {
        /// The organisation.
        org_name: String,
        /// Whether they are a member now.
        approved: bool,
        /// What the administrator said about it.
        reason: Option<String>,
    },
    /// A member's role in an organisation was changed.
    MemberRoleChanged {
        /// The organisation.
        org_name: String,
        /// The new role: `owner`, `admin` or `member`.
        role: String,
    },
    /// A member was removed from an organisation.
    MemberRemoved {
        /// The organisation.
        org_name: String,
    },
    /// Something the operators of the platform want to say.
    Announcement {
        /// The heading.
        title: String,
        /// The text; line breaks are kept.
        body: String,
    },
}

impl Message {
    /// The one link of this mail, if it has one.
    pub fn link(&self) -> Option<(Link, OneTimeTokenId)> {
        match self {
            Self::VerifyEmail { token_id } => Some((Link::VerifyEmail, *token_id)),
            Self::ResetPassword { token_id } => Some((Link::ResetPassword, *token_id)),
            Self::ConfirmEmail { token_id, .. } => Some((Link::ConfirmEmail, *token_id)),
            Self::EmailChangeRequested { token_id, .. } | Self::EmailChanged { token_id, .. } => {
                Some((Link::RevertEmail, *token_id))
            }
            Self::Invitation { token_id, .. } => Some((Link::Invitation, *token_id)),
            _ => None,
        }
    }
}
