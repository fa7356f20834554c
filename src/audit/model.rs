//! Audit records as they are stored and as the API shows them.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use ipnet::IpNet;
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use uuid::Uuid;

use super::action::Action;
use crate::request_type;
use crate::values::ids::{AuditId, OrgId, UserId};
use crate::values::{IdRef, Timestamp, string_enum};

string_enum! {
    /// The kind of an actor.
    pub enum ActorType {
        /// A caller who is not authenticated.
        Anonymous "anonymous",
        /// The service itself, or an operator on the command line.
        System "system",
        /// A user.
        User "user",
        /// An API key.
        ApiKey "api_key",
    }
}

string_enum! {
    /// The result of an action.
    pub enum Outcome {
        /// The action was done.
        Success "success",
        /// The action was attempted and refused.
        Failure "failure",
    }
}

/// The part of the audit log that a caller may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Records about an organisation.
    Org(OrgId),
    /// Records about the account of a user.
    User(UserId),
    /// All records.
    Platform,
}

/// The conditions that all listed records satisfy.
#[derive(Clone, Debug)]
pub struct Filter {
    pub actor_id: Option<Uuid>,
    pub action: Option<String>,
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
}

request_type! {
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    pub struct AuditLogQuery {
        /// Id of the user or API key that acted.
        #[param(required = false, nullable = false, value_type = String, format = Uuid)]
        pub actor_id: Option<IdRef<UserId>>,
        /// Name of the action, such as those listed in `AuditAction`. No record matches an unknown name.
        #[param(required = false, nullable = false, example = "session.created")]
        pub action: Option<String>,
        /// Earliest time of the action.
        #[param(required = false, nullable = false, value_type = String, format = DateTime)]
        pub from: Option<Timestamp>,
        /// Time before which the action happened.
        #[param(required = false, nullable = false, value_type = String, format = DateTime)]
        pub to: Option<Timestamp>,
    }
}

impl AuditLogQuery {
    pub fn filter(&self) -> Filter {
        // A malformed id matches no record, like an unknown one.
        let uuid = |reference: IdRef<UserId>| reference.id().map_or(Uuid::nil(), UserId::uuid);
        Filter {
            actor_id: self.actor_id.map(uuid),
            action: self.action.clone(),
            from: self.from.map(|at| at.0),
            to: self.to.map(|at| at.0),
        }
    }
}

/// A row of the table `audit_log`.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = crate::db::schema::audit_log, check_for_backend(diesel::pg::Pg))]
pub struct Record {
    pub id: AuditId,
    pub at: DateTime<Utc>,
    /// Text and not an [`Action`]: an old record may have an action that this version no longer has.
    action: String,
    actor_type: ActorType,
    actor_id: Option<Uuid>,
    actor_name: Option<String>,
    object_type: Option<String>,
    object_id: Option<Uuid>,
    object_name: Option<String>,
    result: Outcome,
    ip: Option<IpNet>,
    request_id: Option<String>,
    details: Value,
}

/// The schema of [`AuditRecordResponse::action`]: every [`Action`] with its description.
pub struct AuditAction;

impl PartialSchema for AuditAction {
    fn schema() -> RefOr<Schema> {
        let mut description = "Name of an action. Later versions of the service may add names:\n".to_owned();
        for action in Action::ALL {
            let _ = write!(description, "\n- `{action}`: {}", action.description());
        }
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(description))
            .enum_values(Some(Action::ALL.iter().map(|action| action.as_str())))
            .examples([Action::SessionCreated.as_str()])
            .into()
    }
}

impl ToSchema for AuditAction {}

/// The user, API key or system that acted.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AuditActor)]
pub struct ActorResponse {
    /// `user`, `api_key`, `system` (the service itself or an operator) or `anonymous` (an unauthenticated caller).
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "user")]
    pub kind: ActorType,
    /// Id of the user or API key.
    pub id: Option<Uuid>,
    /// Name of the user or API key at the time of the action.
    pub name: Option<String>,
}

/// The object of an action.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AuditObject)]
pub struct ObjectResponse {
    /// Kind of the object.
    #[serde(rename = "type")]
    #[schema(example = "session")]
    pub kind: String,
    /// Id of the object.
    pub id: Option<Uuid>,
    /// Name of the object at the time of the action.
    pub name: Option<String>,
}

/// A record of the audit log.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AuditRecord)]
pub struct AuditRecordResponse {
    /// Id of the record.
    pub id: AuditId,
    /// Name of the action.
    #[schema(value_type = AuditAction)]
    pub action: String,
    /// The user, API key or system that acted.
    pub actor: ActorResponse,
    /// The object of the action; null if it has none but the account.
    #[schema(nullable)]
    pub object: Option<ObjectResponse>,
    /// `success` or `failure`.
    #[schema(value_type = String, example = "success")]
    pub result: Outcome,
    /// IP address of the client.
    pub ip: Option<String>,
    /// `X-Request-Id` of the request.
    pub request_id: Option<String>,
    /// Time of the action.
    pub at: Timestamp,
    /// Further information, which depends on the action.
    #[schema(value_type = Object)]
    pub details: Value,
}

impl AuditRecordResponse {
    /// The record as a reader of `scope` sees it. The user of an account doesn't see the address and the request id of
    /// other users who acted on it.
    pub fn new(record: Record, scope: Scope) -> Self {
        let is_by_another_user = match scope {
            Scope::User(user_id) => record.actor_type == ActorType::User && record.actor_id != Some(user_id.uuid()),
            Scope::Org(_) | Scope::Platform => false,
        };
        let (object_id, object_name) = (record.object_id, record.object_name);
        Self {
            id: record.id,
            action: record.action,
            actor: ActorResponse {
                kind: record.actor_type,
                id: record.actor_id,
                name: record.actor_name,
            },
            object: record.object_type.map(|kind| ObjectResponse {
                kind,
                id: object_id,
                name: object_name,
            }),
            result: record.result,
            ip: record
                .ip
                .filter(|_| !is_by_another_user)
                .map(|ip| ip.addr().to_string()),
            request_id: record.request_id.filter(|_| !is_by_another_user),
            at: record.at.into(),
            details: record.details,
        }
    }
}
