//! Queries on the table `audit_log`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use ipnet::IpNet;
use serde_json::Value;

use super::entry::{Entry, Object};
use super::model::{Filter, Record, Scope};
use crate::db::Tx;
use crate::db::schema::audit_log;
use crate::db::sweep::{self, Sweep};
use crate::error::Error;
use crate::values::ids::AuditId;

pub fn insert(tx: &mut Tx<'_>, entry: Entry) -> Result<(), Error> {
    let (object_type, object_id, object_name) = entry.object.map_or((None, None, None), |object| {
        let Object { kind, id, name } = object;
        (Some(kind), id, name)
    });
    diesel::insert_into(audit_log::table)
        .values((
            audit_log::id.eq(AuditId::new(entry.at)),
            audit_log::at.eq(entry.at),
            audit_log::action.eq(entry.action),
            audit_log::actor_type.eq(entry.actor.kind),
            audit_log::actor_id.eq(entry.actor.id),
            audit_log::actor_name.eq(entry.actor.name),
            audit_log::object_type.eq(object_type),
            audit_log::object_id.eq(object_id),
            audit_log::object_name.eq(object_name),
            audit_log::user_id.eq(entry.user_id),
            audit_log::org_id.eq(entry.org_id),
            audit_log::result.eq(entry.outcome),
            audit_log::ip.eq(entry.ip.map(IpNet::from)),
            audit_log::request_id.eq(entry.request_id),
            audit_log::details.eq(Value::Object(entry.details)),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// The records in `scope`, newest first, that follow the one with the key `after`.
pub fn list(
    tx: &mut Tx<'_>,
    scope: Scope,
    filter: &Filter,
    after: Option<(DateTime<Utc>, AuditId)>,
    limit: i64,
) -> Result<Vec<Record>, Error> {
    let mut query = audit_log::table
        .order((audit_log::at.desc(), audit_log::id.desc()))
        .limit(limit)
        .select(Record::as_select())
        .into_boxed();
    match scope {
        Scope::Org(org_id) => query = query.filter(audit_log::org_id.eq(org_id)),
        Scope::User(user_id) => query = query.filter(audit_log::user_id.eq(user_id)),
        Scope::Platform => {}
    }
    if let Some(actor_id) = filter.actor_id {
        query = query.filter(audit_log::actor_id.eq(actor_id));
    }
    if let Some(action) = &filter.action {
        query = query.filter(audit_log::action.eq(action.clone()));
    }
    if let Some(from) = filter.from {
        query = query.filter(audit_log::at.ge(from));
    }
    if let Some(to) = filter.to {
        query = query.filter(audit_log::at.lt(to));
    }
    if let Some((at, id)) = after {
        // The second condition implies the first, but only the first is a range of the index.
        query = query
            .filter(audit_log::at.le(at))
            .filter(audit_log::at.lt(at).or(audit_log::id.lt(id)));
    }
    Ok(query.load(tx.conn)?)
}

pub const SWEEP: Sweep = Sweep {
    table: "audit_log",
    ended: "at < $1",
    order_by: "at",
    retention: |config| sweep::days(config.retention_audit_days),
    cutoff_setting: Some("keyward.audit_kept_since"),
};
