//! Accounts as platform admins see them, and announcements.

use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::PlatformRole;
use crate::error::Invalid;
use crate::users::{User, UserStatus};
use crate::values::ids::UserId;
use crate::values::{Timestamp, clean_line, clean_text};

/// The conditions that all listed accounts satisfy.
#[derive(Clone, Debug)]
pub struct Filter {
    /// A part of the e-mail address, the username or the nickname.
    pub search: Option<String>,
    pub status: Option<UserStatus>,
}

crate::text_type! {
    /// A part of an e-mail address, a username or a nickname, in any case.
    pub struct UserSearch(1..=254) by clean_line, example "ada"
}

crate::text_type! {
    /// The title of an announcement.
    pub struct AnnouncementTitle(1..=150) by clean_line, example "Maintenance on Sunday"
}

fn announcement_body(text: String) -> Result<String, Invalid> {
    // `clean_text` accepts blank text, `clean_line` refuses it.
    if text.trim().is_empty() {
        clean_line(text)
    } else {
        clean_text(text)
    }
}

crate::text_type! {
    /// The text of an announcement, which may have several lines.
    pub struct AnnouncementBody(1..=5000) by announcement_body, example "The service will be unavailable from 02:00 to 02:30 UTC."
}

/// The version of the fields that platform admins can change, for the `ETag`: the role, and whether and when the account
/// was disabled.
pub fn version(user: &User) -> i64 {
    let disabled = user.disabled_at.map_or(0, |at| at.timestamp_millis());
    disabled * 2 + i64::from(user.role == PlatformRole::Admin)
}

/// An account.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserResponse {
    /// Id of the account.
    pub id: UserId,
    /// E-mail address.
    pub email: String,
    /// Whether the e-mail address is verified.
    pub email_verified: bool,
    /// Unique name.
    pub username: Option<String>,
    /// Display name.
    pub nickname: Option<String>,
    /// Role on the platform.
    pub role: PlatformRole,
    /// Whether a platform admin or an operator disabled the account.
    pub disabled: bool,
    /// Whether the account can be used.
    pub status: UserStatus,
    /// Time at which the account was created.
    pub created_at: Timestamp,
    /// Time of the last login.
    pub last_login_at: Option<Timestamp>,
}

impl From<User> for UserResponse {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            email_verified: user.email_verified_at.is_some(),
            role: user.role,
            disabled: user.disabled_at.is_some(),
            status: user.status(),
            created_at: user.created_at.into(),
            last_login_at: user.last_login_at.map(Timestamp),
            email: user.email,
            username: user.username,
            nickname: user.nickname,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_neither_blank_nor_contains_control_characters() {
        let body = |text: &str| AnnouncementBody::try_from(text.to_owned()).is_ok();
        assert!(body("a\nb\tc"));
        for text in ["", " \n ", "a\u{202e}b", "a\u{0}b"] {
            assert!(!body(text), "{text:?}");
        }
        assert!(AnnouncementTitle::try_from("a\nb".to_owned()).is_err());
    }
}
