//! Every query on the audit log.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use ipnet::IpNet;
use serde_json::Value;

use super::Entry;
use crate::db::schema::audit_log;
use crate::error::Error;
use crate::ids::AuditId;

pub fn insert(connection: &mut PgConnection, entry: Entry) -> Result<(), Error> {
    let (actor_type, actor_id, actor_name) = entry.actor;
    let (object_type, object_id, object_name) = entry
        .object
        .map_or((None, None, None), |(kind, id, name)| (Some(kind), id, name));
    diesel::insert_into(audit_log::table)
        .values((
            (
                audit_log::id.eq(AuditId::new(entry.at)),
                audit_log::at.eq(entry.at),
                audit_log::action.eq(entry.action),
            ),
            (
                audit_log::actor_type.eq(actor_type),
                audit_log::actor_id.eq(actor_id),
                audit_log::actor_name.eq(actor_name),
            ),
            (
                audit_log::object_type.eq(object_type),
                audit_log::object_id.eq(object_id),
                audit_log::object_name.eq(object_name),
            ),
            (audit_log::user_id.eq(entry.user_id), audit_log::org_id.eq(entry.org_id)),
            audit_log::result.eq(if entry.failed { "failure" } else { "success" }),
            audit_log::ip.eq(entry.ip.map(IpNet::from)),
            audit_log::request_id.eq(entry.request_id),
            audit_log::details.eq(Value::Object(entry.details)),
        ))
        .execute(connection)?;
    Ok(())
}
