//! Every query on notifications.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::Value;

use super::model::{Notice, Subject};
use crate::db::schema::notifications;
use crate::error::Error;
use crate::ids::{NotificationId, UserId};

pub fn insert(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    user_id: UserId,
    notice: &Notice,
    about: Option<Subject>,
) -> Result<(), Error> {
    let tagged = serde_json::to_value(notice).map_err(Error::internal)?;
    let kind = tagged
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let data = tagged.get("data").cloned().unwrap_or_default();
    let (invitation_id, join_request_id, email_change_id) = match about {
        None => (None, None, None),
        Some(Subject::Invitation(id)) => (Some(id), None, None),
        Some(Subject::JoinRequest(id)) => (None, Some(id), None),
        Some(Subject::EmailChange(id)) => (None, None, Some(id)),
    };
    diesel::insert_into(notifications::table)
        .values((
            notifications::id.eq(NotificationId::new(now)),
            notifications::user_id.eq(user_id),
            notifications::type_.eq(kind),
            notifications::data.eq(data),
            notifications::invitation_id.eq(invitation_id),
            notifications::join_request_id.eq(join_request_id),
            notifications::email_change_id.eq(email_change_id),
            notifications::created_at.eq(now),
        ))
        .execute(connection)?;
    Ok(())
}

pub fn resolve(connection: &mut PgConnection, now: DateTime<Utc>, about: Subject) -> Result<(), Error> {
    let open = diesel::update(notifications::table).filter(notifications::resolved_at.is_null());
    let resolved = notifications::resolved_at.eq(now);
    match about {
        Subject::Invitation(id) => open
            .filter(notifications::invitation_id.eq(id))
            .set(resolved)
            .execute(connection)?,
        Subject::JoinRequest(id) => open
            .filter(notifications::join_request_id.eq(id))
            .set(resolved)
            .execute(connection)?,
        Subject::EmailChange(id) => open
            .filter(notifications::email_change_id.eq(id))
            .set(resolved)
            .execute(connection)?,
    };
    Ok(())
}

pub fn count_unread(connection: &mut PgConnection, user_id: UserId) -> Result<i64, Error> {
    let unread = notifications::table
        .filter(notifications::user_id.eq(user_id))
        .filter(notifications::read_at.is_null());
    Ok(unread.count().get_result(connection)?)
}
