//! A member, and what may be said about one.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::OrgRole;
use crate::config::Config;
use crate::error::{FieldCode, Invalid};
use crate::images;
use crate::values::ids::{ImageId, MembershipId, UserId};

/// Somebody, as others in an organisation see them; without the address, which is theirs to give.
#[derive(Clone, Debug, Queryable)]
pub struct Person {
    /// The person.
    pub id: UserId,
    /// Their unique name.
    pub username: Option<String>,
    /// What they like to be called.
    pub nickname: Option<String>,
    /// Their picture.
    pub avatar_id: Option<ImageId>,
}

impl Person {
    /// What others call them, if they have said so.
    pub fn called(&self) -> Option<&str> {
        self.nickname.as_deref().or(self.username.as_deref())
    }
}

/// Somebody, in passing.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Person)]
pub struct PersonResponse {
    /// The person.
    pub id: UserId,
    /// Their unique name.
    pub username: Option<String>,
    /// What they like to be called.
    pub nickname: Option<String>,
    /// Their picture.
    pub avatar_url: Option<String>,
}

impl PersonResponse {
    /// Of what is stored.
    pub fn new(person: Person, config: &Config) -> Self {
        Self {
            id: person.id,
            username: person.username,
            nickname: person.nickname,
            avatar_url: person.avatar_id.map(|id| images::url(config, id)),
        }
    }
}

/// A member, as stored.
#[derive(Clone, Debug, Queryable)]
pub struct Member {
    pub membership_id: MembershipId,
    pub person: Person,
    role: String,
    pub disabled_services: Vec<String>,
    pub joined_at: DateTime<Utc>,
    pub version: i64,
    pub email: String,
    pub locale: String,
}

impl Member {
    /// Their role.
    pub fn role(&self) -> OrgRole {
        OrgRole::stored(&self.role)
    }

    /// What the audit log calls them.
    pub fn name(&self) -> &str {
        self.person.username.as_deref().unwrap_or(&self.email)
    }
}

fn service(text: String) -> Result<String, Invalid> {
    let fits = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b));
    if fits || text.is_empty() {
        Ok(text)
    } else {
        Err(Invalid::new(
            FieldCode::InvalidFormat,
            "Use the name of a service of the platform.",
        ))
    }
}

crate::text_type! {
    /// The name of a service of the platform; see `GET /scopes`.
    pub struct ServiceName(1..=100) by service, example "data"
}
