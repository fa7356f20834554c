//! Every query on the outbox.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use serde_json::Value;

use crate::db::Tx;
use crate::db::schema::mail_outbox;
use crate::db::sweep::Sweep;
use crate::error::Error;
use crate::notifications::event::Event;
use crate::values::ids::MailId;
use crate::values::locale::Locale;

/// Queues an e-mail that is due at once.
pub fn insert(tx: &mut Tx<'_>, recipient: &str, locale: Locale, event: &Event) -> Result<(), Error> {
    diesel::insert_into(mail_outbox::table)
        .values((
            mail_outbox::id.eq(MailId::new(tx.now)),
            mail_outbox::recipient.eq(recipient),
            mail_outbox::locale.eq(locale),
            mail_outbox::message.eq(serde_json::to_value(event).map_err(Error::internal)?),
            mail_outbox::created_at.eq(tx.now),
            mail_outbox::next_attempt_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    tx.queue_mail();
    Ok(())
}

/// The e-mails to `recipient` queued since `since`.
#[diesel::dsl::auto_type(no_type_alias)]
pub fn queued_since<'a>(recipient: &'a str, since: DateTime<Utc>) -> _ {
    mail_outbox::table
        .filter(mail_outbox::recipient.eq(recipient))
        .filter(mail_outbox::created_at.gt(since))
}

/// The number of e-mails about events with this name to `recipient` queued since `since`.
pub fn count_event_since(tx: &mut Tx<'_>, recipient: &str, event: &str, since: DateTime<Utc>) -> Result<i64, Error> {
    let is_event = mail_outbox::message.retrieve_as_text("event").eq(event);
    Ok(queued_since(recipient, since)
        .filter(is_event)
        .count()
        .get_result(tx.conn)?)
}

/// E-mails that were sent or given up. They are kept while the limit of e-mails to one address counts them.
pub const SWEEP: Sweep = Sweep {
    table: "mail_outbox",
    ended: "(sent_at IS NOT NULL OR failed_at IS NOT NULL) AND created_at < $1",
    order_by: "created_at",
    retention: |_| Some(TimeDelta::days(1)),
    cutoff_setting: None,
};

/// How many e-mails are neither sent nor given up, and since when the oldest of them waits.
pub fn pending(tx: &mut Tx<'_>) -> Result<(i64, Option<DateTime<Utc>>), Error> {
    let pending = mail_outbox::table
        .filter(mail_outbox::sent_at.is_null().and(mail_outbox::failed_at.is_null()))
        .select((diesel::dsl::count_star(), diesel::dsl::min(mail_outbox::created_at)));
    Ok(pending.get_result(tx.conn)?)
}

/// A claimed row.
#[derive(Queryable)]
pub struct ClaimedEmail {
    pub id: MailId,
    pub recipient: String,
    pub locale: Locale,
    /// Not parsed yet: a newer version of the program may have stored an event that this one doesn't know.
    pub event: Value,
    pub created_at: DateTime<Utc>,
    /// The number of earlier notices that it replaces.
    pub merged: i32,
    pub attempts: i32,
}

impl ClaimedEmail {
    /// The name of its event, for the log.
    pub fn event_name(&self) -> &str {
        self.event.get("event").and_then(Value::as_str).unwrap_or_default()
    }
}

/// The columns that an attempt changes; `None` leaves a column as it is.
#[derive(Clone, Default, AsChangeset)]
#[diesel(table_name = mail_outbox)]
pub struct Attempt {
    pub sent_at: Option<DateTime<Utc>>,
    pub failed_at: Option<DateTime<Utc>>,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
}

/// Claims at most `limit` due rows for the length of `lease`.
///
/// In two statements, because PostgreSQL may run a locking subquery with a limit more than once in an UPDATE.
pub fn claim(tx: &mut Tx<'_>, limit: i64, lease: TimeDelta) -> Result<Vec<ClaimedEmail>, Error> {
    let due: Vec<MailId> = mail_outbox::table
        .select(mail_outbox::id)
        .filter(mail_outbox::sent_at.is_null().and(mail_outbox::failed_at.is_null()))
        .filter(mail_outbox::next_attempt_at.le(tx.now))
        .order(mail_outbox::next_attempt_at)
        .limit(limit)
        .for_update()
        .skip_locked()
        .load(tx.conn)?;
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let mut claimed: Vec<ClaimedEmail> = diesel::update(mail_outbox::table.filter(mail_outbox::id.eq_any(&due)))
        .set((
            mail_outbox::next_attempt_at.eq(tx.now + lease),
            mail_outbox::attempts.eq(mail_outbox::attempts + 1),
            mail_outbox::open_to_merge.eq(false),
        ))
        .returning((
            mail_outbox::id,
            mail_outbox::recipient,
            mail_outbox::locale,
            mail_outbox::message,
            mail_outbox::created_at,
            mail_outbox::merged,
            mail_outbox::attempts,
        ))
        .load(tx.conn)?;
    claimed.sort_by_key(|email| (email.created_at, email.id));
    Ok(claimed)
}

/// Records an attempt, unless the row was claimed again meanwhile or is already done. A sent e-mail is recorded in any case.
pub fn record(tx: &mut Tx<'_>, id: MailId, attempts: i32, attempt: &Attempt) -> Result<(), Error> {
    let current = mail_outbox::table
        .filter(mail_outbox::id.eq(id))
        .filter(mail_outbox::sent_at.is_null().and(mail_outbox::failed_at.is_null()))
        .filter(
            mail_outbox::attempts
                .eq(attempts)
                .or(attempt.sent_at.is_some().into_sql::<diesel::sql_types::Bool>()),
        );
    diesel::update(current).set(attempt).execute(tx.conn)?;
    Ok(())
}

/// Undoes the claim of rows that were not attempted.
pub fn release(tx: &mut Tx<'_>, ids: &[MailId]) -> Result<(), Error> {
    let claimed = mail_outbox::table
        .filter(mail_outbox::id.eq_any(ids))
        .filter(mail_outbox::sent_at.is_null().and(mail_outbox::failed_at.is_null()));
    diesel::update(claimed)
        .set((
            mail_outbox::next_attempt_at.eq(tx.now),
            mail_outbox::attempts.eq(mail_outbox::attempts - 1),
        ))
        .execute(tx.conn)?;
    Ok(())
}
