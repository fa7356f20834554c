//! What an organisation says of itself, and the rules of it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use utoipa::ToSchema;

use crate::error::{FieldCode, Invalid};
use crate::values::ids::{ImageId, OrgId};
use crate::values::{clean_line, clean_text, string_enum};

/// Slugs that would be taken for the service itself, or that stand in its paths and in those of frontends.
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
    /// How people come into an organisation.
    pub enum JoinPolicy {
        /// Only by an invitation.
        InviteOnly "invite_only",
        /// By an invitation, or by a request that is approved.
        Request "request",
    }
}

crate::text_type! {
    /// What an organisation is called.
    pub struct OrgName(1..=100) by clean_line, example "Analytical Engines"
}

crate::text_type! {
    /// What an organisation says of itself.
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
    /// An organisation's unique short name, in lower case.
    pub struct Slug(2..=50) by slug, pattern "^[A-Za-z0-9](-?[A-Za-z0-9])*$", example "analytical-engines"
}

impl Slug {
    /// How much of a name goes into a slug, so that a number fits behind it.
    const STEM: usize = 40;

    /// What a name suggests: its letters and digits, without accents; `org` for a name in another script.
    pub fn stem_of(name: &OrgName) -> String {
        let mut stem = String::new();
        for c in name.as_str().nfkd().filter(|c| !is_combining_mark(*c)) {
            if c.is_ascii_alphanumeric() {
                stem.push(c.to_ascii_lowercase());
            } else if !stem.is_empty() && !stem.ends_with('-') && c != '\'' {
                stem.push('-');
            }
            if stem.len() >= Self::STEM {
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

/// An organisation, as stored.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = crate::db::schema::orgs, check_for_backend(diesel::pg::Pg))]
pub struct Org {
    /// The organisation.
    pub id: OrgId,
    /// What it is called.
    pub name: String,
    /// Its unique short name.
    pub slug: String,
    /// What it says of itself.
    pub description: Option<String>,
    /// Its logo.
    pub logo_id: Option<ImageId>,
    join_policy: String,
    /// Version of what can be changed.
    pub version: i64,
    /// When it came to be.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Org {
    /// How people come into it.
    pub fn join_policy(&self) -> JoinPolicy {
        JoinPolicy::stored(&self.join_policy)
    }
}

/// An organisation, in passing.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OrgBrief)]
pub struct OrgBriefResponse {
    /// The organisation.
    pub id: OrgId,
    /// What it is called.
    pub name: String,
    /// Its unique short name.
    pub slug: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_lowered_and_keep_to_their_form() {
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
    fn a_stem_is_what_a_slug_can_be() {
        let stem = |name: &str| Slug::stem_of(&OrgName::try_from(name.to_owned()).unwrap());
        assert_eq!(stem("Analytical Engines"), "analytical-engines");
        assert_eq!(stem("  Café — Zürich! "), "cafe-zurich");
        assert_eq!(stem("Ada's"), "adas");
        assert_eq!(stem("分析机"), "org");
        assert_eq!(stem("--- a"), "a");
        assert!(stem(&"word ".repeat(20)).len() <= Slug::STEM);
        assert!(!stem(&"word ".repeat(20)).ends_with('-'));
    }
}
