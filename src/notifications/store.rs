//! Every query on notifications and on the opt-outs from e-mail.

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection as _;
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::{self, Jsonb, Nullable, Text, Timestamptz};
use uuid::Uuid;

use super::email::outbox::ANNOUNCEMENT_AUDIENCE;
use super::event::{Event, NotificationType, Subject};
use super::model::{Notification, NotificationState};
use crate::db::Tx;
use crate::db::schema::{email_changes, invitations, mail_opt_outs, notifications, users};
use crate::db::sweep::{self, Sweep};
use crate::error::Error;
use crate::values::ids::{NotificationId, OrgId, UserId};

/// The smallest UUID v7 of an instant. Ids are UUIDs v7, which sort by the millisecond of their creation.
pub fn first_id(at: DateTime<Utc>) -> NotificationId {
    let millisecond = u128::try_from(at.timestamp_millis()).unwrap_or_default();
    Uuid::from_u128(millisecond << 80).into()
}

pub fn insert(
    tx: &mut Tx<'_>,
    user_id: UserId,
    notification_type: NotificationType,
    event: &Event,
) -> Result<(), Error> {
    let data = event.notification_data().map_err(Error::internal)?;
    let (invitation_id, join_request_id, email_change_id) = match event.subject() {
        None => (None, None, None),
        Some(Subject::Invitation(id)) => (Some(id), None, None),
        Some(Subject::JoinRequest(id)) => (None, Some(id), None),
        Some(Subject::EmailChange(id)) => (None, None, Some(id)),
    };
    diesel::insert_into(notifications::table)
        .values((
            notifications::id.eq(NotificationId::new(tx.now)),
            notifications::user_id.eq(user_id),
            notifications::type_.eq(notification_type),
            notifications::data.eq(data),
            notifications::invitation_id.eq(invitation_id),
            notifications::join_request_id.eq(join_request_id),
            notifications::email_change_id.eq(email_change_id),
            notifications::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

pub fn resolve(tx: &mut Tx<'_>, subject: Subject) -> Result<(), Error> {
    let unresolved = diesel::update(notifications::table).filter(notifications::resolved_at.is_null());
    let resolved = notifications::resolved_at.eq(tx.now);
    match subject {
        Subject::Invitation(id) => unresolved
            .filter(notifications::invitation_id.eq(id))
            .set(resolved)
            .execute(tx.conn)?,
        Subject::JoinRequest(id) => unresolved
            .filter(notifications::join_request_id.eq(id))
            .set(resolved)
            .execute(tx.conn)?,
        Subject::EmailChange(id) => unresolved
            .filter(notifications::email_change_id.eq(id))
            .set(resolved)
            .execute(tx.conn)?,
    };
    Ok(())
}

pub fn count_unread(tx: &mut Tx<'_>, user_id: UserId) -> Result<i64, Error> {
    let unread = notifications::table
        .filter(notifications::user_id.eq(user_id))
        .filter(notifications::read_at.is_null());
    Ok(unread.count().get_result(tx.conn)?)
}

/// The columns of [`Notification`].
#[diesel::dsl::auto_type(no_type_alias)]
fn with_context() -> _ {
    notifications::table
        .inner_join(users::table)
        .left_join(invitations::table)
        .left_join(email_changes::table)
        .select((
            notifications::id,
            notifications::type_,
            notifications::data,
            notifications::invitation_id,
            notifications::join_request_id,
            notifications::email_change_id,
            notifications::created_at,
            notifications::read_at,
            notifications::resolved_at,
            invitations::expires_at.nullable(),
            email_changes::expires_at.nullable(),
            users::locale,
        ))
}

/// The conditions that listed notifications meet; `None` matches all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub state: Option<NotificationState>,
    pub kind: Option<NotificationType>,
}

/// A user's notifications, newest first, that are older than `after`.
pub fn list(
    tx: &mut Tx<'_>,
    user_id: UserId,
    filter: Filter,
    after: Option<NotificationId>,
    limit: i64,
) -> Result<Vec<Notification>, Error> {
    let mut query = with_context()
        .filter(notifications::user_id.eq(user_id))
        .order(notifications::id.desc())
        .limit(limit)
        .into_boxed();
    match filter.state {
        Some(NotificationState::Unread) => query = query.filter(notifications::read_at.is_null()),
        Some(NotificationState::Read) => query = query.filter(notifications::read_at.is_not_null()),
        None => {}
    }
    if let Some(kind) = filter.kind {
        query = query.filter(notifications::type_.eq(kind));
    }
    if let Some(after) = after {
        query = query.filter(notifications::id.lt(after));
    }
    Ok(query.load(tx.conn)?)
}

/// The newest `limit` of a user's notifications with an id above `after`, oldest first.
pub fn list_since(
    tx: &mut Tx<'_>,
    user_id: UserId,
    after: NotificationId,
    limit: i64,
) -> Result<Vec<Notification>, Error> {
    let mut newest: Vec<Notification> = with_context()
        .filter(notifications::user_id.eq(user_id))
        .filter(notifications::id.gt(after))
        .order(notifications::id.desc())
        .limit(limit)
        .load(tx.conn)?;
    newest.reverse();
    Ok(newest)
}

/// Those of a user's notifications that have one of `ids`, oldest first.
pub fn list_by_id(tx: &mut Tx<'_>, user_id: UserId, ids: &[NotificationId]) -> Result<Vec<Notification>, Error> {
    Ok(with_context()
        .filter(notifications::user_id.eq(user_id))
        .filter(notifications::id.eq_any(ids))
        .order(notifications::id)
        .load(tx.conn)?)
}

pub fn find_for_update(tx: &mut Tx<'_>, user_id: UserId, id: NotificationId) -> Result<Option<Notification>, Error> {
    let locked: Option<NotificationId> = notifications::table
        .filter(notifications::user_id.eq(user_id))
        .filter(notifications::id.eq(id))
        .select(notifications::id)
        .for_update()
        .first(tx.conn)
        .optional()?;
    if locked.is_none() {
        return Ok(None);
    }
    Ok(list_by_id(tx, user_id, &[id])?.pop())
}

pub fn set_read_at(
    tx: &mut Tx<'_>,
    user_id: UserId,
    id: NotificationId,
    read_at: Option<DateTime<Utc>>,
) -> Result<(), Error> {
    let own = notifications::table
        .filter(notifications::user_id.eq(user_id))
        .filter(notifications::id.eq(id));
    diesel::update(own)
        .set(notifications::read_at.eq(read_at))
        .execute(tx.conn)?;
    Ok(())
}

pub fn read_all(tx: &mut Tx<'_>, user_id: UserId) -> Result<usize, Error> {
    let unread = notifications::table
        .filter(notifications::user_id.eq(user_id))
        .filter(notifications::read_at.is_null());
    Ok(diesel::update(unread)
        .set(notifications::read_at.eq(tx.now))
        .execute(tx.conn)?)
}

/// Deletes one of a user's notifications; false when the user has none with this id.
pub fn delete(tx: &mut Tx<'_>, user_id: UserId, id: NotificationId) -> Result<bool, Error> {
    let own = notifications::table
        .filter(notifications::user_id.eq(user_id))
        .filter(notifications::id.eq(id));
    Ok(diesel::delete(own).execute(tx.conn)? == 1)
}

/// The types that a user doesn't want by e-mail, as stored.
pub fn opt_outs(tx: &mut Tx<'_>, user_id: UserId) -> Result<Vec<String>, Error> {
    Ok(mail_opt_outs::table
        .filter(mail_opt_outs::user_id.eq(user_id))
        .select(mail_opt_outs::type_)
        .load(tx.conn)?)
}

pub fn has_opted_out(tx: &mut Tx<'_>, user_id: UserId, kind: NotificationType) -> Result<bool, Error> {
    Ok(diesel::select(exists(mail_opt_outs::table.find((user_id.uuid(), kind.as_str())))).get_result(tx.conn)?)
}

pub fn replace_opt_outs(tx: &mut Tx<'_>, user_id: UserId, unwanted: &[NotificationType]) -> Result<(), Error> {
    diesel::delete(mail_opt_outs::table.filter(mail_opt_outs::user_id.eq(user_id))).execute(tx.conn)?;
    let rows: Vec<_> = unwanted
        .iter()
        .map(|kind| (mail_opt_outs::user_id.eq(user_id), mail_opt_outs::type_.eq(*kind)))
        .collect();
    // A concurrent request may insert the same rows.
    diesel::insert_into(mail_opt_outs::table)
        .values(rows)
        .on_conflict_do_nothing()
        .execute(tx.conn)?;
    Ok(())
}

/// Notifications that were read or resolved, and all others at twice their age. Compared by id, which sorts by age.
pub const SWEEPS: [Sweep; 2] = [
    Sweep {
        table: "notifications",
        ended: "id < keyward_first_uuid_v7($1) AND (read_at IS NOT NULL OR resolved_at IS NOT NULL)",
        order_by: "id",
        retention: |config| sweep::days(config.retention_notifications_days),
        cutoff_setting: None,
    },
    Sweep {
        table: "notifications",
        ended: "id < keyward_first_uuid_v7($1)",
        order_by: "id",
        retention: |config| sweep::days(2 * config.retention_notifications_days),
        cutoff_setting: None,
    },
];

/// Raises the statement timeout of this transaction: an announcement writes two rows for each user.
pub fn raise_statement_timeout(tx: &mut Tx<'_>) -> Result<(), Error> {
    Ok(tx.conn.batch_execute("SET LOCAL statement_timeout = '50s'")?)
}

/// Writes the notifications of an announcement, and returns how many there are.
pub fn announce(tx: &mut Tx<'_>, event: &Event, org_id: Option<OrgId>) -> Result<usize, Error> {
    let statement = format!(
        "INSERT INTO notifications (id, user_id, type, data, created_at) \
         SELECT keyward_uuid_v7($2), users.id, $3, $4, $2 FROM {ANNOUNCEMENT_AUDIENCE}"
    );
    Ok(diesel::sql_query(statement)
        .bind::<Nullable<sql_types::Uuid>, _>(org_id)
        .bind::<Timestamptz, _>(tx.now)
        .bind::<Text, _>(NotificationType::Announcement)
        .bind::<Jsonb, _>(event.notification_data().map_err(Error::internal)?)
        .execute(tx.conn)?)
}
