//! What a person says of themselves, and the rules of it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::auth::PlatformRole;
use crate::error::{FieldCode, Invalid};
use crate::notifications::Recipient;
use crate::values::clean_line;
use crate::values::ids::{ImageId, OrgId, UserId};
use crate::values::locale::Locale;

/// Names that would be taken for the service itself, or that stand in its paths.
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
    let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b));
    if !fits {
        return Err(Invalid::new(
            FieldCode::InvalidFormat,
            "Use letters a-z, digits, _ . and -, beginning with a letter.",
        ));
    }
    if RESERVED_USERNAMES.contains(&name.as_str()) {
        return Err(Invalid::new(FieldCode::NotAllowed, "This name is reserved."));
    }
    Ok(name)
}

crate::text_type! {
    /// A person's unique name in the whole system, in lower case.
    pub struct Username(3..=30) by username, pattern "^[A-Za-z][A-Za-z0-9_.-]{2,29}$", example "ada"
}

crate::text_type! {
    /// What a person likes to be called; carried as it is.
    pub struct Nickname(1..=64) by clean_line, example "Ada"
}

fn time_zone(text: String) -> Result<String, Invalid> {
    chrono_tz::Tz::from_str_insensitive(&text)
        .map(|zone| zone.name().to_owned())
        .map_err(|_| {
            Invalid::new(
                FieldCode::NotAllowed,
                "Use a name of the IANA time zone database, such as Asia/Shanghai.",
            )
        })
}

crate::text_type! {
    /// A time zone, by its name in the IANA database.
    pub struct TimeZone(1..=64) by time_zone, example "Europe/Berlin"
}

/// A person's account, as stored.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = crate::db::schema::users, check_for_backend(diesel::pg::Pg))]
pub struct User {
    /// The person.
    pub id: UserId,
    /// Canonical address.
    pub email: String,
    /// When it was proven; not yet, while null.
    pub email_verified_at: Option<DateTime<Utc>>,
    /// PHC string.
    pub password_hash: Option<String>,
    /// Unique name.
    pub username: Option<String>,
    /// What they like to be called.
    pub nickname: Option<String>,
    pub role: PlatformRole,
    pub locale: Locale,
    /// IANA name.
    pub time_zone: String,
    /// Their picture.
    pub avatar_id: Option<ImageId>,
    /// Where the next login starts.
    pub last_org_id: Option<OrgId>,
    /// Version of the profile.
    pub version: i64,
    /// When the account came to be.
    pub created_at: DateTime<Utc>,
    /// When the profile was last changed.
    pub updated_at: DateTime<Utc>,
    /// When they last logged in.
    pub last_login_at: Option<DateTime<Utc>>,
    /// When an administrator disabled the account.
    pub disabled_at: Option<DateTime<Utc>>,
}

impl User {
    /// What others and the audit log call them.
    pub fn name(&self) -> &str {
        self.username.as_deref().unwrap_or(&self.email)
    }

    /// What is easily guessed of them.
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

    /// Whether the first-login set-up is done.
    pub const fn profile_complete(&self) -> bool {
        self.username.is_some() && self.nickname.is_some()
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
    fn usernames_are_lowered_and_look_alikes_refused() {
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
    fn time_zones_are_those_of_the_iana_database() {
        let zone = |text: &str| TimeZone::try_from(text.to_owned()).ok().map(TimeZone::into_string);
        assert_eq!(zone("asia/shanghai").as_deref(), Some("Asia/Shanghai"));
        assert_eq!(zone("Mars/Olympus"), None);
    }
}
