//! Every query on notifications, and on who does not want which by mail.

use crate::db::Tx;
use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection as _;
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::{self, Integer, Jsonb, Nullable, Text, Timestamptz};
use uuid::Uuid;

use super::model::{Notice, Notification, NotificationState, NotificationType, Subject};
use crate::db::schema::{email_changes, invitations, mail_opt_outs, notifications, users};
use crate::error::Error;
use crate::notifications::email::Message;
use crate::values::ids::{NotificationId, OrgId, UserId};

/// The least id of an instant: ids sort by when they were made.
pub fn first_id(at: DateTime<Utc>) -> Uuid {
    Uuid::from_u128(u128::try_from(at.timestamp_millis()).unwrap_or_default() << 80)
}

/// What ids of before an instant are less than.
fn boundary(at: DateTime<Utc>) -> NotificationId {
    first_id(at).into()
}

pub fn insert(tx: &mut Tx<'_>, user_id: UserId, notice: &Notice, about: Option<Subject>) -> Result<(), Error> {
    let data = notice.data().map_err(Error::internal)?;
    let (invitation_id, join_request_id, email_change_id) = match about {
        None => (None, None, None),
        Some(Subject::Invitation(id)) => (Some(id), None, None),
        Some(Subject::JoinRequest(id)) => (None, Some(id), None),
        Some(Subject::EmailChange(id)) => (None, None, Some(id)),
    };
    diesel::insert_into(notifications::table)
        .values((
            notifications::id.eq(NotificationId::new(tx.now)),
            notifications::user_id.eq(user_id),
            notifications::type_.eq(notice.kind().as_str()),
            notifications::data.eq(data),
            notifications::invitation_id.eq(invitation_id),
            notifications::join_request_id.eq(join_request_id),
            notifications::email_change_id.eq(email_change_id),
            notifications::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

pub fn resolve(tx: &mut Tx<'_>, about: Subject) -> Result<(), Error> {
    let open = diesel::update(notifications::table).filter(notifications::resolved_at.is_null());
    let resolved = notifications::resolved_at.eq(tx.now);
    match about {
        Subject::Invitation(id) => open
            .filter(notifications::invitation_id.eq(id))
            .set(resolved)
            .execute(tx.conn)?,
        Subject::JoinRequest(id) => open
            .filter(notifications::join_request_id.eq(id))
            .set(resolved)
            .execute(tx.conn)?,
        Subject::EmailChange(id) => open
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

/// Notifications with what decides how they are shown.
#[diesel::dsl::auto_type(no_type_alias)]
fn shown() -> _ {
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

/// Which of a person's notifications are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub state: Option<NotificationState>,
    pub kind: Option<NotificationType>,
}

/// A person's notifications, newest first, after the one with the key `after`.
pub fn list(
    tx: &mut Tx<'_>,
    user_id: UserId,
    filter: Filter,
    after: Option<NotificationId>,
    limit: i64,
) -> Result<Vec<Notification>, Error> {
    let mut query = shown()
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
        query = query.filter(notifications::type_.eq(kind.as_str()));
    }
    if let Some(after) = after {
        query = query.filter(notifications::id.lt(after));
    }
    Ok(query.load(tx.conn)?)
}

/// A person's notifications with an id above `after`, the oldest first: the newest `limit` of them.
pub fn list_since(
    tx: &mut Tx<'_>,
    user_id: UserId,
    after: NotificationId,
    limit: i64,
) -> Result<Vec<Notification>, Error> {
    let mut found: Vec<Notification> = shown()
        .filter(notifications::user_id.eq(user_id))
        .filter(notifications::id.gt(after))
        .order(notifications::id.desc())
        .limit(limit)
        .load(tx.conn)?;
    found.reverse();
    Ok(found)
}

/// Those of a person's notifications that are named, the oldest first.
pub fn list_named(tx: &mut Tx<'_>, user_id: UserId, ids: &[NotificationId]) -> Result<Vec<Notification>, Error> {
    Ok(shown()
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
    Ok(list_named(tx, user_id, &[id])?.pop())
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

/// Deletes one of a person's notifications; false when there is no such one.
pub fn delete(tx: &mut Tx<'_>, user_id: UserId, id: NotificationId) -> Result<bool, Error> {
    let own = notifications::table
        .filter(notifications::user_id.eq(user_id))
        .filter(notifications::id.eq(id));
    Ok(diesel::delete(own).execute(tx.conn)? == 1)
}

/// Which types a person does not want by mail.
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
        .map(|kind| {
            (
                mail_opt_outs::user_id.eq(user_id),
                mail_opt_outs::type_.eq(kind.as_str()),
            )
        })
        .collect();
    // Another request may be doing the same.
    diesel::insert_into(mail_opt_outs::table)
        .values(rows)
        .on_conflict_do_nothing()
        .execute(tx.conn)?;
    Ok(())
}

/// Deletes what is old: all before `all_before`, and before `done_before` what was read or resolved; at most `limit`.
pub fn delete_old(
    tx: &mut Tx<'_>,
    all_before: DateTime<Utc>,
    done_before: DateTime<Utc>,
    limit: i64,
) -> Result<usize, Error> {
    let done = notifications::read_at
        .is_not_null()
        .or(notifications::resolved_at.is_not_null());
    // By id, which sorts by age and has an index.
    let old: Vec<NotificationId> = notifications::table
        .filter(notifications::id.lt(boundary(done_before)))
        .filter(notifications::id.lt(boundary(all_before)).or(done))
        .order(notifications::id)
        .limit(limit)
        .select(notifications::id)
        .load(tx.conn)?;
    Ok(diesel::delete(notifications::table.filter(notifications::id.eq_any(old))).execute(tx.conn)?)
}

/// Whom an announcement is for: $1 is the organisation, or null.
const AUDIENCE: &str = "users WHERE users.email_verified_at IS NOT NULL AND users.disabled_at IS NULL \
     AND ($1 IS NULL OR EXISTS (SELECT FROM memberships m WHERE m.user_id = users.id AND m.org_id = $1))";

/// Lets the statements of this transaction run for longer than those on which somebody waits at a screen.
pub fn allow_time(tx: &mut Tx<'_>) -> Result<(), Error> {
    Ok(tx.conn.batch_execute("SET LOCAL statement_timeout = '50s'")?)
}

/// Puts an announcement into the notification centre of its whole audience; answers how many they are.
pub fn announce(tx: &mut Tx<'_>, notice: &Notice, org_id: Option<OrgId>) -> Result<usize, Error> {
    let statement = format!(
        "INSERT INTO notifications (id, user_id, type, data, created_at) \
         SELECT keyward_uuid_v7($2), users.id, $3, $4, $2 FROM {AUDIENCE}"
    );
    Ok(diesel::sql_query(statement)
        .bind::<Nullable<sql_types::Uuid>, _>(org_id)
        .bind::<Timestamptz, _>(tx.now)
        .bind::<Text, _>(notice.kind().as_str())
        .bind::<Jsonb, _>(notice.data().map_err(Error::internal)?)
        .execute(tx.conn)?)
}

/// Puts the mails of an announcement into the outbox, for those of its audience who want them. Each second only a few
/// become due, so that they do not stand in the way of mail that somebody waits for.
pub fn mail_announcement(tx: &mut Tx<'_>, message: &Message, org_id: Option<OrgId>) -> Result<usize, Error> {
    const A_SECOND: i32 = 20;
    let statement = format!(
        "INSERT INTO mail_outbox (id, recipient, locale, message, created_at, next_attempt_at) \
         SELECT keyward_uuid_v7($2), users.email, users.locale, $4, $2, \
                $2 + make_interval(secs => (row_number() OVER () - 1) / $5) \
         FROM {AUDIENCE} \
         AND NOT EXISTS (SELECT FROM mail_opt_outs o WHERE o.user_id = users.id AND o.type = $3)"
    );
    let queued = diesel::sql_query(statement)
        .bind::<Nullable<sql_types::Uuid>, _>(org_id)
        .bind::<Timestamptz, _>(tx.now)
        .bind::<Text, _>(NotificationType::Announcement.as_str())
        .bind::<Jsonb, _>(serde_json::to_value(message).map_err(Error::internal)?)
        .bind::<Integer, _>(A_SECOND)
        .execute(tx.conn)?;
    tx.queue_mail();
    Ok(queued)
}
