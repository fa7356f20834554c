//! An account, and the types of its username, nickname and time zone.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::auth::PlatformRole;
use crate::error::{FieldCode, Invalid};
use crate::notifications::Recipient;
use crate::values::ids::{ImageId, OrgId, UserId};
use crate::values::locale::Locale;
use crate::values::{clean_line, string_enum};

/// Usernames that could be mistaken for the service or its operator, or that are segments of its paths.
const RESERVED_USERNAMES: &[&str] = &[
    "abuse",
    "account",
    "accounts",
    "admin",
    "administrator",
    "anonymous",
    "api",
    "api-keys",
    "audit",
    "auth",
    "billing",
    "contact",
    "docs",
    "email",
    "everyone",
    "health",
    "help",
    "hostmaster",
    "info",
    "invitations",
    "keyward",
    "legal",
    "login",
    "logout",
    "mail",
    "mailer-daemon",
    "me",
    "metrics",
    "mod",
    "moderator",
    "news",
    "nobody",
    "noreply",
    "no-reply",
    "notifications",
    "null",
    "official",
    "openapi",
    "operator",
    "org",
    "orgs",
    "owner",
    "password",
    "postmaster",
    "privacy",
    "problems",
    "readyz",
    "register",
    "root",
    "security",
    "service",
    "session",
    "sessions",
    "settings",
    "signup",
    "staff",
    "status",
    "superuser",
    "support",
    "sysadmin",
    "system",
    "team",
    "terms",
    "undefined",
    "user",
    "username",
    "usernames",
    "users",
    "webmaster",
    "www",
];

fn username(text: String) -> Result<String, Invalid> {
    let name = text.to_ascii_lowercase();
    let is_well_formed = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b));
    if !is_well_formed {
        return Err(Invalid::new(
            FieldCode::InvalidFormat,
            "Use letters a-z, digits, underscores, dots and hyphens; start with a letter.",
        ));
    }
    if RESERVED_USERNAMES.contains(&name.as_str()) {
        return Err(Invalid::new(FieldCode::NotAllowed, "This username is reserved."));
    }
    Ok(name)
}

crate::text_type! {
    /// A unique name of an account, in lower case.
    pub struct Username(3..=30) by username, pattern "^[A-Za-z][A-Za-z0-9_.-]{2,29}$", example "ada"
}

crate::text_type! {
    /// A display name, stored as entered.
    pub struct Nickname(1..=64) by clean_line, example "Ada"
}

fn time_zone(text: String) -> Result<String, Invalid> {
    chrono_tz::Tz::from_str_insensitive(&text)
        .map(|zone| zone.name().to_owned())
        .map_err(|_| {
            Invalid::new(
                FieldCode::NotAllowed,
                "Use a name from the IANA time zone database, such as Asia/Shanghai.",
            )
        })
}

crate::text_type! {
    /// The name of a time zone in the IANA time zone database.
    pub struct TimeZone(1..=64) by time_zone, example "Europe/Berlin"
}

string_enum! {
    /// Whether an account can be used.
    pub enum UserStatus {
        /// The account can be used.
        Active "active",
        /// The e-mail address is not verified yet.
        Unverified "unverified",
        /// A platform admin or an operator disabled the account.
        Disabled "disabled",
    }
}

/// An account: a row of the table `users`.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = crate::db::schema::users, check_for_backend(diesel::pg::Pg))]
pub struct User {
    pub id: UserId,
    /// In canonical form.
    pub email: String,
    pub email_verified_at: Option<DateTime<Utc>>,
    /// A PHC string.
    pub password_hash: Option<String>,
    pub username: Option<String>,
    pub nickname: Option<String>,
    pub role: PlatformRole,
    pub locale: Locale,
    /// An IANA name.
    pub time_zone: String,
    pub avatar_id: Option<ImageId>,
    /// The organisation in which the next login starts.
    pub last_org_id: Option<OrgId>,
    /// The version of the profile, for its `ETag`.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub last_login_at: Option<DateTime<Utc>>,
    pub disabled_at: Option<DateTime<Utc>>,
}

impl User {
    /// The name in audit records and messages to others: the username, or the nickname of a user without one. Never the e-mail
    /// address, which others may not see.
    pub fn name(&self) -> Option<&str> {
        self.username.as_deref().or(self.nickname.as_deref())
    }

    /// Words that make the user's password easy to guess, for the password policy.
    pub fn personal_words(&self) -> Vec<&str> {
        [
            Some(self.email.as_str()),
            self.username.as_deref(),
            self.nickname.as_deref(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Whether username and nickname are set. A frontend asks for both after the first login.
    pub const fn profile_complete(&self) -> bool {
        self.username.is_some() && self.nickname.is_some()
    }

    /// Whether the user can do anything at all: a disabled account can't.
    pub const fn can_act(&self) -> bool {
        self.disabled_at.is_none()
    }

    pub const fn status(&self) -> UserStatus {
        match (self.disabled_at, self.email_verified_at) {
            (Some(_), _) => UserStatus::Disabled,
            (None, None) => UserStatus::Unverified,
            (None, Some(_)) => UserStatus::Active,
        }
    }
}

impl<'a> From<&'a User> for Recipient<'a> {
    fn from(user: &'a User) -> Self {
        Self {
            user_id: user.id,
            email: &user.email,
            locale: user.locale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_become_lower_case_and_look_alike_characters_are_refused() {
        let name = |text: &str| {
            Username::try_from(text.to_owned())
                .map(Username::into_string)
                .map_err(|invalid| invalid.code)
        };
        assert_eq!(name("Ada_L.o-1"), Ok("ada_l.o-1".to_owned()));
        for text in [
            "1ada",
            "аda",
            "ad a",
            "ada\u{200b}",
            "_ada",
            "ada@b",
            "ａda",
            "ADA\u{212a}",
        ] {
            assert_eq!(name(text), Err(FieldCode::InvalidFormat), "{text}");
        }
        assert_eq!(name("ad"), Err(FieldCode::TooShort));
        assert_eq!(name(&"a".repeat(31)), Err(FieldCode::TooLong));
        assert_eq!(name("Admin"), Err(FieldCode::NotAllowed));
    }

    #[test]
    fn time_zones_are_names_of_the_iana_database() {
        let zone = |text: &str| TimeZone::try_from(text.to_owned()).ok().map(TimeZone::into_string);
        assert_eq!(zone("asia/shanghai").as_deref(), Some("Asia/Shanghai"));
        assert_eq!(zone("Mars/Olympus"), None);
    }
}
