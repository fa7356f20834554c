//! An organisation: its row, the rules of its name, description and slug.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use utoipa::ToSchema;

use crate::auth::OrgRole;
use crate::error::{FieldCode, Invalid};
use crate::values::ids::{ImageId, OrgId};
use crate::values::{clean_line, clean_text, string_enum};

/// Slugs that a reader could take for the service itself, or that are parts of its paths or of a frontend's.
const RESERVED_SLUGS: &[&str] = &[
    "about",
    "abuse",
    "account",
    "accounts",
    "admin",
    "api",
    "api-keys",
    "auth",
    "billing",
    "contact",
    "docs",
    "email",
    "health",
    "help",
    "invitations",
    "join-requests",
    "keyward",
    "legal",
    "login",
    "logout",
    "lookup",
    "mail",
    "me",
    "metrics",
    "new",
    "notifications",
    "null",
    "official",
    "openapi",
    "org",
    "orgs",
    "owner",
    "password",
    "privacy",
    "problems",
    "register",
    "root",
    "security",
    "settings",
    "signup",
    "staff",
    "status",
    "support",
    "system",
    "team",
    "terms",
    "undefined",
    "users",
    "www",
];

string_enum! {
    /// How a user can become a member.
    pub enum JoinPolicy {
        /// By an invitation only.
        InviteOnly "invite_only",
        /// By an invitation, or by a request to join that an admin approves.
        Request "request",
    }
}

crate::text_type! {
    /// The name of an organisation.
    pub struct OrgName(1..=100) by clean_line, example "Analytical Engines"
}

crate::text_type! {
    /// The description of an organisation.
    pub struct Description(0..=500) by clean_text, example "We build engines."
}

fn slug(text: String) -> Result<String, Invalid> {
    let slug = text.to_ascii_lowercase();
    let fits = slug
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !slug.starts_with('-')
        && !slug.ends_with('-')
        && !slug.contains("--");
    if !fits {
        return Err(Invalid::new(
            FieldCode::InvalidFormat,
            "Use letters a-z and digits, with single hyphens between them.",
        ));
    }
    if RESERVED_SLUGS.contains(&slug.as_str()) {
        return Err(Invalid::new(FieldCode::NotAllowed, "This slug is reserved."));
    }
    Ok(slug)
}

crate::text_type! {
    /// The unique short name of an organisation; stored in lower case.
    pub struct Slug(2..=50) by slug, pattern "^[A-Za-z0-9](-?[A-Za-z0-9])*$", example "analytical-engines"
}

impl Slug {
    /// The longest part of a name that becomes a slug; the rest of the 50 characters is for a suffix such as `-2`.
    const MAX_STEM: usize = 40;

    /// The slug that a name suggests: its ASCII letters and digits without accents, or `org` when it has none.
    pub fn stem_of(name: &OrgName) -> String {
        let mut stem = String::new();
        for c in name.as_str().nfkd().filter(|c| !is_combining_mark(*c)) {
            if c.is_ascii_alphanumeric() {
                stem.push(c.to_ascii_lowercase());
            } else if !stem.is_empty() && !stem.ends_with('-') && c != '\'' {
                stem.push('-');
            }
            if stem.len() >= Self::MAX_STEM {
                break;
            }
        }
        let stem = stem.trim_end_matches('-');
        if stem.is_empty() {
            "org".to_owned()
        } else {
            stem.to_owned()
        }
    }
}

/// The row of an organisation.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = crate::db::schema::orgs, check_for_backend(diesel::pg::Pg))]
pub struct Org {
    pub id: OrgId,
    pub name: String,
    pub slug: String,
    pub description: Option<String>,
    pub logo_id: Option<ImageId>,
    pub join_policy: JoinPolicy,
    /// Grows with each change; the entity tag.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// An organisation, as a member sees it.
pub struct OrgView {
    pub org: Org,
    /// The role of the member.
    pub role: OrgRole,
    pub member_count: i64,
}

/// An organisation that another resource refers to.
#[derive(Clone, Debug, Queryable, Serialize, ToSchema)]
pub struct OrgBrief {
    /// Id of the organisation.
    pub id: OrgId,
    /// Name of the organisation.
    pub name: String,
    /// Unique short name of the organisation, in lower case.
    pub slug: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_lowercased_and_checked() {
        let slug = |text: &str| {
            Slug::try_from(text.to_owned())
                .map(Slug::into_string)
                .map_err(|invalid| invalid.code)
        };
        assert_eq!(slug("Acme-2"), Ok("acme-2".to_owned()));
        for text in ["-acme", "acme-", "ac--me", "ac me", "acme_1", "äcme", "acme.", "аcme"] {
            assert_eq!(slug(text), Err(FieldCode::InvalidFormat), "{text}");
        }
        assert_eq!(slug("a"), Err(FieldCode::TooShort));
        assert_eq!(slug(""), Err(FieldCode::TooShort));
        assert_eq!(slug(&"a".repeat(51)), Err(FieldCode::TooLong));
        assert_eq!(slug("Lookup"), Err(FieldCode::NotAllowed));
    }

    #[test]
    fn a_name_suggests_a_valid_slug() {
        let stem = |name: &str| Slug::stem_of(&OrgName::try_from(name.to_owned()).unwrap());
        assert_eq!(stem("Analytical Engines"), "analytical-engines");
        assert_eq!(stem("  Café — Zürich! "), "cafe-zurich");
        assert_eq!(stem("Ada's"), "adas");
        assert_eq!(stem("分析机"), "org");
        assert_eq!(stem("--- a"), "a");
        assert!(stem(&"word ".repeat(20)).len() <= Slug::MAX_STEM);
        assert!(!stem(&"word ".repeat(20)).ends_with('-'));
    }
}
