//! A person as other members of an organisation see them.

use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::Config;
use crate::images;
use crate::values::ids::{ImageId, UserId};

/// What other members see of a person; the e-mail address is not part of it.
#[derive(Clone, Debug, Queryable)]
pub struct Person {
    pub id: UserId,
    pub username: Option<String>,
    pub nickname: Option<String>,
    pub avatar_id: Option<ImageId>,
}

impl Person {
    /// The nickname, else the username; neither is set before the first login.
    pub fn display_name(&self) -> Option<&str> {
        self.nickname.as_deref().or(self.username.as_deref())
    }
}

/// A person.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Person)]
pub struct PersonResponse {
    /// Id of the person.
    pub id: UserId,
    /// Unique name of the person; null until they have chosen one.
    pub username: Option<String>,
    /// Display name of the person.
    pub nickname: Option<String>,
    /// URL of the avatar.
    pub avatar_url: Option<String>,
}

impl PersonResponse {
    pub fn new(person: Person, config: &Config) -> Self {
        Self {
            id: person.id,
            username: person.username,
            nickname: person.nickname,
            avatar_url: person.avatar_id.map(|id| images::url(config, id)),
        }
    }
}
