//! Records, as stored and as shown.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use ipnet::IpNet;
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::values::PageQuery;
use crate::values::ids::{AuditId, OrgId, UserId};
use crate::values::{Fields, FromFields, IdRef, Timestamp};

/// Which of the records somebody may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What concerns an organisation.
    Org(OrgId),
    /// What concerns a person's own account.
    User(UserId),
    /// Everything.
    Platform,
}

/// Which records of a log are wanted.
#[derive(Clone, Debug)]
pub struct Filter {
    pub actor_id: Option<Uuid>,
    pub action: Option<String>,
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
}

/// Which records are wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditLogQuery {
    /// Only acts of this person or API key.
    #[param(required = false, nullable = false, value_type = String, format = Uuid)]
    pub actor_id: Option<IdRef<UserId>>,
    /// Only this kind of act.
    #[param(required = false, nullable = false, example = "session.created")]
    pub action: Option<String>,
    /// Only what happened then or later.
    #[param(required = false, nullable = false, value_type = String, format = DateTime)]
    pub from: Option<Timestamp>,
    /// Only what happened before.
    #[param(required = false, nullable = false, value_type = String, format = DateTime)]
    pub to: Option<Timestamp>,
    /// Which page.
    #[param(ignore)]
    pub page: PageQuery,
}

impl FromFields for AuditLogQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let actor_id = fields.take("actor_id");
        let action = fields.take("action");
        let from = fields.take("from");
        let to = fields.take("to");
        let page = PageQuery::from_fields(fields);
        Some(Self {
            actor_id: actor_id?,
            action: action?,
            from: from?,
            to: to?,
            page: page?,
        })
    }
}

impl AuditLogQuery {
    /// What it asks for. An id that is none is that of nobody, like one that names nothing.
    pub fn filter(&self) -> Filter {
        let id = |reference: IdRef<UserId>| reference.id().map_or(Uuid::nil(), UserId::uuid);
        Filter {
            actor_id: self.actor_id.map(id),
            action: self.action.clone(),
            from: self.from.map(|at| at.0),
            to: self.to.map(|at| at.0),
        }
    }
}

/// A record, as stored.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = crate::db::schema::audit_log, check_for_backend(diesel::pg::Pg))]
pub struct Record {
    pub id: AuditId,
    pub at: DateTime<Utc>,
    action: String,
    actor_type: String,
    actor_id: Option<Uuid>,
    actor_name: Option<String>,
    object_type: Option<String>,
    object_id: Option<Uuid>,
    object_name: Option<String>,
    result: String,
    ip: Option<IpNet>,
    request_id: Option<String>,
    details: Value,
}

/// Who acted.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AuditActor)]
pub struct ActorResponse {
    /// `user`, `api_key`, `system` or `anonymous`.
    #[serde(rename = "type")]
    #[schema(example = "user")]
    pub kind: String,
    /// The person or the API key.
    pub id: Option<Uuid>,
    /// What they were called then.
    pub name: Option<String>,
}

/// What was acted on.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AuditObject)]
pub struct ObjectResponse {
    /// The kind of thing.
    #[serde(rename = "type")]
    #[schema(example = "session")]
    pub kind: String,
    /// Which.
    pub id: Option<Uuid>,
    /// What it was called then.
    pub name: Option<String>,
}

/// A record of the audit log.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AuditRecord)]
pub struct AuditRecordResponse {
    /// The record.
    pub id: AuditId,
    /// What was done.
    #[schema(example = "session.created")]
    pub action: String,
    /// Who did it.
    pub actor: ActorResponse,
    /// To what; null where the act has no object but the account itself.
    #[schema(nullable)]
    pub object: Option<ObjectResponse>,
    /// `success` or `failure`.
    #[schema(example = "success")]
    pub result: String,
    /// From which address.
    pub ip: Option<String>,
    /// In which request.
    pub request_id: Option<String>,
    /// When.
    pub at: Timestamp,
    /// What else there is to say.
    #[schema(value_type = Object)]
    pub details: Value,
}

impl AuditRecordResponse {
    /// As the readers of `log` see it: whose account it is need not know from where somebody else acted on it.
    pub fn of(record: Record, log: Scope) -> Self {
        let by_another = match log {
            Scope::User(user_id) => record.actor_type == "user" && record.actor_id != Some(user_id.uuid()),
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
            ip: record.ip.filter(|_| !by_another).map(|ip| ip.addr().to_string()),
            request_id: record.request_id.filter(|_| !by_another),
            at: record.at.into(),
            details: record.details,
        }
    }
}
