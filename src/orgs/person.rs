//! A user as other members of an organisation see them.

use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::Config;
use crate::images;
use crate::values::ids::{ImageId, UserId};

/// The public part of a user, without the e-mail address.
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

/// A user, as other members of an organisation see them.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Person)]
pub struct PersonResponse {
    /// Id of the user.
    pub id: UserId,
    /// Unique name of the user; null until the user has chosen one.
    pub username: Option<String>,
    /// Display name of the user.
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
