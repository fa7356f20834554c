//! The audit log: one record of each security-relevant act, written in the transaction of the act.
//!
//! Records are never changed, and outlive what they speak of; they hold no secret. A person sees those about their own
//! account, an organisation's owners and admins those of the organisation, platform administrators all.

mod action;
mod model;
mod operations;
mod routes;
mod store;

pub use action::Action;
pub use model::{AuditLogQuery, AuditRecordResponse, Scope};
pub use operations::list;
pub use routes::router;

use std::net::IpAddr;

use crate::db::Tx;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::auth::{Caller, Credential};
use crate::error::Error;
use crate::values::Client;
use crate::values::ids::{OrgId, UserId};

/// One record, in the making.
#[derive(Clone, Debug)]
pub struct Entry {
    at: DateTime<Utc>,
    action: Action,
    actor: (&'static str, Option<Uuid>, Option<String>),
    object: Option<(&'static str, Option<Uuid>, Option<String>)>,
    user_id: Option<UserId>,
    org_id: Option<OrgId>,
    failed: bool,
    ip: Option<IpAddr>,
    request_id: Option<String>,
    details: Map<String, Value>,
}

impl Entry {
    fn new(at: DateTime<Utc>, action: Action, actor: (&'static str, Option<Uuid>, Option<String>)) -> Self {
        Self {
            at,
            action,
            actor,
            object: None,
            user_id: None,
            org_id: None,
            failed: false,
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

    /// An act of somebody who is authenticated, on their own account unless [`Entry::user`] says otherwise.
    pub fn by<P>(caller: &Caller<P>, action: Action) -> Self {
        let actor = match &caller.credential {
            Credential::Session { .. } => ("user", Some(caller.user_id.uuid()), Some(caller.name.clone())),
            Credential::ApiKey { id, name, .. } => ("api_key", Some(id.uuid()), Some(name.clone())),
        };
        Self::new(caller.now(), action, actor)
            .of_client(&caller.client)
            .user(caller.user_id)
    }

    /// An act of a person who proved who they are by a password or a mailed link, on their own account.
    pub fn by_user(client: &Client, user_id: UserId, name: &str, action: Action) -> Self {
        let actor = ("user", Some(user_id.uuid()), Some(name.to_owned()));
        Self::new(client.now, action, actor).of_client(client).user(user_id)
    }

    /// An act of somebody unknown.
    pub fn by_anybody(client: &Client, action: Action) -> Self {
        Self::new(client.now, action, ("anonymous", None, None)).of_client(client)
    }

    /// An act of the service itself, or of an operator on its command line.
    pub fn by_system(now: DateTime<Utc>, action: Action) -> Self {
        Self::new(now, action, ("system", None, None))
    }

    /// What was acted on: the kind of thing, its id, and what it is called.
    #[must_use]
    pub fn object(mut self, kind: &'static str, id: impl Into<Option<Uuid>>, name: impl Into<Option<String>>) -> Self {
        self.object = Some((kind, id.into(), name.into()));
        self
    }

    /// Whose account it concerns.
    #[must_use]
    pub fn user(mut self, user_id: impl Into<Option<UserId>>) -> Self {
        self.user_id = user_id.into();
        self
    }

    /// Which organisation it concerns.
    #[must_use]
    pub fn org(mut self, org_id: impl Into<Option<OrgId>>) -> Self {
        self.org_id = org_id.into();
        self
    }

    /// It was tried, and refused.
    #[must_use]
    pub const fn failed(mut self) -> Self {
        self.failed = true;
        self
    }

    /// What else there is to say; never a secret.
    #[must_use]
    pub fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

/// Writes a record, in the caller's transaction.
///
/// # Errors
/// When the database fails.
pub fn record(tx: &mut Tx<'_>, entry: Entry) -> Result<(), Error> {
    store::insert(tx, entry)
}
