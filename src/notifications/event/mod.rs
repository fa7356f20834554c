//! The events that people are notified of, declared once for both channels: the in-app notification and the e-mail.
//!
//! To add an event: declare it below with a sample for the tests, add its texts to `text/en.toml` and `text/zh-CN.toml`, and
//! pass it to `notify` in the operation that causes it. The service doesn't start when a text is missing; a
//! test fails when a text names a field that the event doesn't have.

mod link;

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::auth::OrgRole;
use crate::values::ids::{ApiKeyId, EmailChangeId, InvitationId, JoinRequestId, OneTimeTokenId, OrgId, SessionId};
use crate::values::string_enum;

pub use link::Link;

/// Declares [`Event`] and, from the events that appear in the app, [`NotificationType`].
///
/// The string after a variant is the event's name in the database, in the text files and, for a notification, its `type` in the
/// API. `(security)` means that its e-mail can't be switched off. The fields are the values that templates can use; those of
/// a notification are also its `data` in the API, except the `internal` ones. No field may hold a secret: a link is stored
/// as the id of its one-time token.
macro_rules! events {
    (@is_security) => { false };
    (@is_security security) => { true };
    (
        notifications {
            $(
                $(#[$doc:meta])*
                $name:ident $word:literal $(($security:ident))?
                { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? }
                $(internal { $($(#[$internal_attribute:meta])* $internal:ident: $internal_type:ty),* $(,)? })?
                ;
            )+
        }
        emails {
            $(
                $(#[$email_doc:meta])*
                $email:ident $email_word:literal $({ $($email_field:ident: $email_type:ty),* $(,)? })?
                ;
            )+
        }
    ) => {
        /// Something that happened, with the data that its texts need.
        ///
        /// The outbox stores events as JSON, and two versions of the program may deliver from it side by side: a released
        /// event or field keeps its name, and a new field is optional.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "event")]
        pub enum Event {
            $(
                $(#[$doc])*
                #[serde(rename = $word)]
                $name {
                    $($(#[$attribute])* $field: $type,)*
                    $($($(#[$internal_attribute])* $internal: $internal_type,)*)?
                },
            )+
            $(
                $(#[$email_doc])*
                #[serde(rename = $email_word)]
                $email $({ $($email_field: $email_type),* })?,
            )+
        }

        string_enum! {
            /// The type of a notification.
            pub enum NotificationType {
                $($(#[$doc])* $name $word,)+
            }
        }

        impl NotificationType {
            /// Whether the event may be part of an attack on the account, so that its e-mail can't be switched off.
            pub const fn is_security(self) -> bool {
                match self { $(Self::$name => events!(@is_security $($security)?),)+ }
            }
        }

        impl Event {
            /// The names of all events.
            pub const NAMES: &'static [&'static str] = &[$($word,)+ $($email_word,)+];

            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $word,)+
                    $(Self::$email { .. } => $email_word,)+
                }
            }

            /// The type of its notification; `None` for an event that is only mailed.
            pub const fn notification_type(&self) -> Option<NotificationType> {
                match self {
                    $(Self::$name { .. } => Some(NotificationType::$name),)+
                    $(Self::$email { .. } => None,)+
                }
            }

            const fn internal_fields(&self) -> &'static [&'static str] {
                match self {
                    $(Self::$name { .. } => &[$($(stringify!($internal)),*)?],)+
                    $(Self::$email { .. } => &[],)+
                }
            }
        }
    };
}

events! {
    notifications {
        /// The platform, or an organisation the recipient is a member of, publishes news.
        Announcement "announcement" {
            title: String,
            body: String,
            org_id: Option<OrgId>,
        };
        /// The recipient is invited to an organisation.
        OrgInvitation "org_invitation" {
            org_id: OrgId,
            org_name: String,
            role: OrgRole,
            invited_by: Option<String>,
            invitation_id: InvitationId,
        } internal {
            token_id: OneTimeTokenId,
        };
        /// A user requests to join an organisation that the recipient administers.
        JoinRequest "join_request" {
            org_id: OrgId,
            org_name: String,
            /// `None` if they have neither nickname nor username.
            person: Option<String>,
            message: Option<String>,
            join_request_id: JoinRequestId,
        };
        /// The recipient's request to join an organisation was approved or rejected.
        JoinRequestDecided "join_request_decided" {
            org_id: OrgId,
            org_name: String,
            approved: bool,
            reason: Option<String>,
        };
        /// The recipient's role in an organisation changed.
        MemberRoleChanged "member_role_changed" {
            org_id: OrgId,
            org_name: String,
            role: OrgRole,
        };
        /// The recipient was removed from an organisation, or the organisation was deleted.
        MemberRemoved "member_removed" {
            org_id: OrgId,
            org_name: String,
        };
        /// A change of the account's e-mail address waits for confirmation; mailed to the current address.
        EmailChangePending "email_change_pending" (security) {
            new_email: String,
            #[serde(with = "milliseconds")]
            expires_at: DateTime<Utc>,
        } internal {
            email_change_id: EmailChangeId,
            token_id: OneTimeTokenId,
        };
        /// The account's e-mail address changed; mailed to the old address.
        EmailChanged "email_changed" (security) {
            old_email: String,
            new_email: String,
        } internal {
            /// `None` where the old address itself reverted the change: that is not mailed.
            token_id: Option<OneTimeTokenId>,
        };
        /// The password was changed or reset.
        PasswordChanged "password_changed" (security) {
        } internal {
            method: PasswordChangeMethod,
        };
        /// An API key was created.
        ApiKeyCreated "api_key_created" (security) {
            api_key_id: ApiKeyId,
            name: String,
            hint: String,
        } internal {
            org_name: Option<String>,
        };
        /// An API key was given a new secret.
        ApiKeyRotated "api_key_rotated" (security) {
            api_key_id: ApiKeyId,
            name: String,
            hint: String,
            /// `None`: it ended at once.
            #[serde(with = "optional_milliseconds")]
            previous_secret_expires_at: Option<DateTime<Utc>>,
        };
        /// An API key expires soon.
        ApiKeyExpiring "api_key_expiring" {
            api_key_id: ApiKeyId,
            name: String,
            hint: String,
            days: i32,
            #[serde(with = "milliseconds")]
            expires_at: DateTime<Utc>,
        };
        /// An API key was revoked.
        ApiKeyRevoked "api_key_revoked" (security) {
            api_key_id: ApiKeyId,
            name: String,
            hint: String,
            org_name: Option<String>,
        } internal {
            by_owner: bool,
            /// The name of the admin who revoked it, if they have one.
            revoked_by: Option<String>,
        };
        /// A login from a device, a browser on a system, that the account has not used lately.
        NewSignIn "new_sign_in" (security) {
            session_id: SessionId,
            user_agent: Option<String>,
            ip: IpAddr,
        };
        /// A refresh token was used a second time, so its session was ended.
        RefreshTokenReused "refresh_token_reused" (security) {
            session_id: SessionId,
            ip: IpAddr,
        };
    }
    emails {
        /// A registration: the link confirms the address.
        VerifyEmail "verify_email" { token_id: OneTimeTokenId };
        /// A registration with an address that already has an account; mailed to its owner instead of `VerifyEmail`.
        AlreadyRegistered "already_registered";
        /// A forgotten password: the link sets a new one.
        ResetPassword "reset_password" { token_id: OneTimeTokenId };
        /// A change of e-mail address: the link, mailed to the new address, confirms it.
        ConfirmEmail "confirm_email" { token_id: OneTimeTokenId, new_email: String };
        /// A change to an address that belongs to another account; mailed to its owner instead of `ConfirmEmail`.
        EmailTaken "email_taken";
    }
}

/// How a password was changed; the e-mail names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PasswordChangeMethod {
    /// In a session, with the current password.
    CurrentPassword,
    /// Through a mailed link.
    ResetLink,
    /// On the command line.
    Operator,
}

/// The object that the reader of a notification can decide on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Invitation(InvitationId),
    JoinRequest(JoinRequestId),
    EmailChange(EmailChangeId),
}

impl Event {
    /// The object to decide on; deciding it resolves the notification.
    pub const fn subject(&self) -> Option<Subject> {
        match self {
            Self::OrgInvitation { invitation_id, .. } => Some(Subject::Invitation(*invitation_id)),
            Self::JoinRequest { join_request_id, .. } => Some(Subject::JoinRequest(*join_request_id)),
            Self::EmailChangePending { email_change_id, .. } => Some(Subject::EmailChange(*email_change_id)),
            _ => None,
        }
    }

    /// The one link in the e-mail, and the id of its one-time token.
    pub const fn link(&self) -> Option<(Link, OneTimeTokenId)> {
        match self {
            Self::VerifyEmail { token_id } => Some((Link::VerifyEmail, *token_id)),
            Self::ResetPassword { token_id } => Some((Link::ResetPassword, *token_id)),
            Self::ConfirmEmail { token_id, .. } => Some((Link::ConfirmEmail, *token_id)),
            Self::OrgInvitation { token_id, .. } => Some((Link::Invitation, *token_id)),
            Self::EmailChangePending { token_id, .. }
            | Self::EmailChanged {
                token_id: Some(token_id),
                ..
            } => Some((Link::RevertEmail, *token_id)),
            _ => None,
        }
    }

    /// Whether later e-mails about this event make an earlier one to the same address superfluous, if the notifications list all
    /// of them. An e-mail with a link of its own is always sent; the link of a pending change replaces that of the change before.
    pub const fn can_be_merged(&self) -> bool {
        match self {
            Self::Announcement { .. } | Self::OrgInvitation { .. } | Self::EmailChanged { .. } => false,
            _ => self.notification_type().is_some(),
        }
    }

    /// Whether the event is about the security of the account.
    pub fn is_security(&self) -> bool {
        self.notification_type().is_some_and(NotificationType::is_security)
    }

    /// All fields, for the templates.
    pub fn fields(&self) -> Result<Map<String, Value>, serde_json::Error> {
        let mut fields: Map<String, Value> = serde_json::from_value(serde_json::to_value(self)?)?;
        fields.remove("event");
        Ok(fields)
    }

    /// The `data` of its notification: all fields but the internal ones.
    pub fn notification_data(&self) -> Result<Value, serde_json::Error> {
        let mut fields = self.fields()?;
        fields.retain(|name, _| !self.internal_fields().contains(&name.as_str()));
        Ok(Value::Object(fields))
    }
}

/// Writes an instant as the rest of the API does.
mod milliseconds {
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

/// As [`milliseconds`], for an instant that may be missing.
mod optional_milliseconds {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::values::Timestamp;

    #[allow(clippy::ref_option, reason = "serde calls it so")]
    pub fn serialize<S: Serializer>(instant: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
        instant.map(Timestamp).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
        Option::deserialize(deserializer)
    }
}

#[cfg(test)]
pub mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    const ID: Uuid = Uuid::from_u128(0x0193_a5a0_0000_7000_8000_0000_0000_002a);

    pub fn at() -> DateTime<Utc> {
        "2026-11-21T14:05:09.123Z".parse().unwrap()
    }

    pub fn token_id() -> OneTimeTokenId {
        ID.into()
    }

    /// Every event, with and without its optional fields. `typed` is the value of each field whose text people enter.
    pub fn samples(typed: &str) -> Vec<Event> {
        let typed = || typed.to_owned();
        let (org_id, token_id) = (OrgId::from(ID), token_id());
        let (old_email, new_email) = ("ada@example.org".to_owned(), "new@example.net".to_owned());
        let ip = [203, 0, 113, 9].into();
        let mut all = api_key_samples(&typed());
        all.extend([
            Event::Announcement {
                title: typed(),
                body: format!("{}\n\nSecond paragraph.", typed()),
                org_id: None,
            },
            Event::MemberRemoved {
                org_id,
                org_name: typed(),
            },
            Event::EmailChangePending {
                new_email: new_email.clone(),
                expires_at: at(),
                email_change_id: ID.into(),
                token_id,
            },
            Event::EmailChanged {
                old_email,
                new_email: new_email.clone(),
                token_id: Some(token_id),
            },
            Event::RefreshTokenReused {
                session_id: ID.into(),
                ip,
            },
            Event::VerifyEmail { token_id },
            Event::AlreadyRegistered,
            Event::ResetPassword { token_id },
            Event::ConfirmEmail { token_id, new_email },
            Event::EmailTaken,
        ]);
        for method in [
            PasswordChangeMethod::CurrentPassword,
            PasswordChangeMethod::ResetLink,
            PasswordChangeMethod::Operator,
        ] {
            all.push(Event::PasswordChanged { method });
        }
        for role in OrgRole::ALL {
            all.push(Event::MemberRoleChanged {
                org_id,
                org_name: typed(),
                role: *role,
            });
        }
        for optional in [None, Some(typed())] {
            all.push(Event::OrgInvitation {
                org_id,
                org_name: typed(),
                role: OrgRole::Admin,
                invited_by: optional.clone(),
                invitation_id: ID.into(),
                token_id,
            });
            all.push(Event::JoinRequest {
                org_id,
                org_name: typed(),
                person: optional.clone(),
                message: optional.clone(),
                join_request_id: ID.into(),
            });
            for approved in [true, false] {
                all.push(Event::JoinRequestDecided {
                    org_id,
                    org_name: typed(),
                    approved,
                    reason: optional.clone(),
                });
            }
            all.push(Event::NewSignIn {
                session_id: ID.into(),
                user_agent: optional,
                ip,
            });
        }
        all
    }

    fn api_key_samples(typed: &str) -> Vec<Event> {
        let (api_key_id, hint) = (ApiKeyId::from(ID), "kw_4fGh".to_owned());
        let expiring = [1, 7].map(|days| Event::ApiKeyExpiring {
            api_key_id,
            name: typed.to_owned(),
            hint: hint.clone(),
            days,
            expires_at: at(),
        });
        let mut all = Vec::from(expiring);
        for previous_secret_expires_at in [None, Some(at())] {
            all.push(Event::ApiKeyRotated {
                api_key_id,
                name: typed.to_owned(),
                hint: hint.clone(),
                previous_secret_expires_at,
            });
        }
        for optional in [None, Some(typed.to_owned())] {
            all.push(Event::ApiKeyCreated {
                api_key_id,
                name: typed.to_owned(),
                hint: hint.clone(),
                org_name: optional.clone(),
            });
            all.push(Event::ApiKeyRevoked {
                api_key_id,
                name: typed.to_owned(),
                hint: hint.clone(),
                org_name: optional.clone(),
                by_owner: optional.is_none(),
                revoked_by: optional,
            });
        }
        all
    }

    #[test]
    fn the_samples_cover_every_event() {
        let sampled: BTreeSet<&str> = samples("Ada").iter().map(Event::name).collect();
        assert_eq!(sampled, Event::NAMES.iter().copied().collect());
    }

    #[test]
    fn a_stored_event_is_read_back_unchanged() {
        for event in samples("Ada") {
            let stored = serde_json::to_value(&event).unwrap();
            assert_eq!(stored["event"], event.name());
            assert_eq!(serde_json::from_value::<Event>(stored).unwrap(), event);
        }
    }

    #[test]
    fn the_data_of_a_notification_leaves_internal_fields_out() {
        for event in samples("Ada")
            .into_iter()
            .filter(|event| event.notification_type().is_some())
        {
            let data = event.notification_data().unwrap();
            for internal in [
                "event",
                "token_id",
                "email_change_id",
                "method",
                "by_owner",
                "revoked_by",
            ] {
                assert_eq!(data.get(internal), None, "{event:?}");
            }
        }
        let event = Event::ApiKeyCreated {
            api_key_id: ID.into(),
            name: "ci".to_owned(),
            hint: "kw_4fGh".to_owned(),
            org_name: Some("Acme".to_owned()),
        };
        assert_eq!(
            event.notification_data().unwrap(),
            json!({"api_key_id": ID, "name": "ci", "hint": "kw_4fGh"})
        );
        let event = Event::EmailChangePending {
            new_email: "new@example.net".to_owned(),
            expires_at: at(),
            email_change_id: ID.into(),
            token_id: token_id(),
        };
        assert_eq!(
            event.notification_data().unwrap(),
            json!({"new_email": "new@example.net", "expires_at": "2026-11-21T14:05:09.123Z"})
        );
    }
}
