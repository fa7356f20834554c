//! A person, as administrators see them.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::PlatformRole;
use crate::error::Invalid;
use crate::values::ids::UserId;
use crate::values::{Timestamp, clean_line, clean_text, string_enum};

string_enum! {
    /// What an account can be.
    pub enum UserStatus {
        /// It can be used.
        Active "active",
        /// Its address is not proven yet.
        Unverified "unverified",
        /// An administrator disabled it.
        Disabled "disabled",
    }
}

crate::text_type! {
    /// Part of an address, a username or a nickname, in any case.
    pub struct UserSearch(1..=254) by clean_line, example "ada"
}

crate::text_type! {
    /// The heading of an announcement.
    pub struct AnnouncementTitle(1..=150) by clean_line, example "Maintenance on Sunday"
}

fn text_of_announcement(text: String) -> Result<String, Invalid> {
    // Blank is no text; otherwise the same rule as elsewhere.
    if text.trim().is_empty() {
        clean_line(text)
    } else {
        clean_text(text)
    }
}

crate::text_type! {
    /// The text of an announcement: plain, line breaks allowed.
    pub struct AnnouncementBody(1..=5000) by text_of_announcement, example "The service will be away from 02:00 to 02:30 UTC."
}

/// A person, as stored.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = crate::db::schema::users, check_for_backend(diesel::pg::Pg))]
pub struct UserRow {
    pub id: UserId,
    pub email: String,
    email_verified_at: Option<DateTime<Utc>>,
    pub username: Option<String>,
    nickname: Option<String>,
    role: String,
    pub disabled_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    last_login_at: Option<DateTime<Utc>>,
}

impl UserRow {
    /// Their role on the platform.
    pub fn role(&self) -> PlatformRole {
        PlatformRole::stored(&self.role)
    }

    /// What the audit log calls them.
    pub fn name(&self) -> &str {
        self.username.as_deref().unwrap_or(&self.email)
    }

    /// The version of what administrators can change: role, and whether and since when they are disabled.
    pub fn version(&self) -> i64 {
        let disabled = self.disabled_at.map_or(0, |at| at.timestamp_millis());
        disabled * 2 + i64::from(self.role() == PlatformRole::Admin)
    }

    const fn status(&self) -> UserStatus {
        match (self.disabled_at, self.email_verified_at) {
            (Some(_), _) => UserStatus::Disabled,
            (None, None) => UserStatus::Unverified,
            (None, Some(_)) => UserStatus::Active,
        }
    }
}

/// A person, as administrators see them.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserResponse {
    /// The person.
    pub id: UserId,
    /// Their address.
    pub email: String,
    /// Whether it is proven.
    pub email_verified: bool,
    /// Their unique name.
    pub username: Option<String>,
    /// What they like to be called.
    pub nickname: Option<String>,
    /// Their role on the platform.
    pub role: PlatformRole,
    /// Whether an administrator disabled the account.
    pub disabled: bool,
    /// What the account can be used for.
    pub status: UserStatus,
    /// When the account came to be.
    pub created_at: Timestamp,
    /// When they last logged in.
    pub last_login_at: Option<Timestamp>,
}

impl From<UserRow> for UserResponse {
    fn from(row: UserRow) -> Self {
        Self {
            id: row.id,
            email_verified: row.email_verified_at.is_some(),
            role: row.role(),
            disabled: row.disabled_at.is_some(),
            status: row.status(),
            created_at: row.created_at.into(),
            last_login_at: row.last_login_at.map(Timestamp),
            email: row.email,
            username: row.username,
            nickname: row.nickname,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_has_words_and_nothing_that_steers() {
        let body = |text: &str| AnnouncementBody::try_from(text.to_owned()).is_ok();
        assert!(body("a\nb\tc"));
        for text in ["", " \n ", "a\u{202e}b", "a\u{0}b"] {
            assert!(!body(text), "{text:?}");
        }
        assert!(AnnouncementTitle::try_from("a\nb".to_owned()).is_err());
    }
}
