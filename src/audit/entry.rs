//! The record that an operation writes.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::action::Action;
use super::model::{ActorType, Outcome};
use crate::auth::{Caller, Credential};
use crate::values::Client;
use crate::values::ids::{OrgId, UserId};

#[derive(Clone, Debug)]
pub struct Actor {
    pub kind: ActorType,
    pub id: Option<Uuid>,
    pub name: Option<String>,
}

/// The object of an action.
#[derive(Clone, Debug)]
pub struct Object {
    pub kind: &'static str,
    pub id: Option<Uuid>,
    pub name: Option<String>,
}

/// A record to write with [`record`](super::record).
#[derive(Clone, Debug)]
pub struct Entry {
    pub(super) at: DateTime<Utc>,
    pub(super) action: Action,
    pub(super) actor: Actor,
    pub(super) object: Option<Object>,
    pub(super) user_id: Option<UserId>,
    pub(super) org_id: Option<OrgId>,
    pub(super) outcome: Outcome,
    pub(super) ip: Option<IpAddr>,
    pub(super) request_id: Option<String>,
    pub(super) details: Map<String, Value>,
}

impl Entry {
    fn new(at: DateTime<Utc>, action: Action, actor: Actor) -> Self {
        Self {
            at,
            action,
            actor,
            object: None,
            user_id: None,
            org_id: None,
            outcome: Outcome::Success,
            ip: None,
            request_id: None,
            details: Map::new(),
        }
    }

    fn of_client(mut self, client: &Client) -> Self {
        self.ip = Some(client.ip);
        self.request_id = Some(client.request_id.as_str().to_owned());
        self
    }

    /// An action of an authenticated caller. It concerns the caller's account, unless [`Entry::user`] sets another.
    pub fn by<P>(caller: &Caller<P>, action: Action) -> Self {
        let actor = match &caller.credential {
            Credential::Session { .. } => Actor {
                kind: ActorType::User,
                id: Some(caller.user_id.uuid()),
                name: caller.name.clone(),
            },
            Credential::ApiKey { id, name, .. } => Actor {
                kind: ActorType::ApiKey,
                id: Some(id.uuid()),
                name: Some(name.clone()),
            },
        };
        Self::new(caller.now(), action, actor)
            .of_client(&caller.client)
            .user(caller.user_id)
    }

    /// An action of a user on their own account, authenticated by a password, a refresh token or a mailed link.
    pub fn by_user(client: &Client, user_id: UserId, name: Option<&str>, action: Action) -> Self {
        let actor = Actor {
            kind: ActorType::User,
            id: Some(user_id.uuid()),
            name: name.map(ToOwned::to_owned),
        };
        Self::new(client.now, action, actor).of_client(client).user(user_id)
    }

    /// An action of a caller who is not authenticated.
    pub fn by_anonymous(client: &Client, action: Action) -> Self {
        Self::new(client.now, action, Self::unnamed(ActorType::Anonymous)).of_client(client)
    }

    /// An action of the service itself or of an operator on the command line.
    pub fn by_system(now: DateTime<Utc>, action: Action) -> Self {
        Self::new(now, action, Self::unnamed(ActorType::System))
    }

    const fn unnamed(kind: ActorType) -> Actor {
        Actor {
            kind,
            id: None,
            name: None,
        }
    }

    /// Sets the object of the action.
    #[must_use]
    pub fn object(mut self, kind: &'static str, id: impl Into<Option<Uuid>>, name: impl Into<Option<String>>) -> Self {
        self.object = Some(Object {
            kind,
            id: id.into(),
            name: name.into(),
        });
        self
    }

    /// Sets the account concerned, whose user can read the record.
    #[must_use]
    pub fn user(mut self, user_id: impl Into<Option<UserId>>) -> Self {
        self.user_id = user_id.into();
        self
    }

    /// Sets the organisation concerned, whose owners and admins can read the record.
    #[must_use]
    pub fn org(mut self, org_id: impl Into<Option<OrgId>>) -> Self {
        self.org_id = org_id.into();
        self
    }

    /// Marks an action that was attempted and refused.
    #[must_use]
    pub const fn failed(mut self) -> Self {
        self.outcome = Outcome::Failure;
        self
    }

    /// Adds a detail; never a secret.
    #[must_use]
    pub fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}
