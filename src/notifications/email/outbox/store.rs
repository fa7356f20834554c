//! Every query on the outbox.

use crate::db::Tx;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;

use crate::db::schema::mail_outbox;
use crate::error::Error;
use crate::notifications::email::message::Message;
use crate::values::ids::MailId;
use crate::values::locale::Locale;

/// Puts a mail into the outbox, in the caller's transaction.
///
/// # Errors
/// The database fails.
pub fn enqueue(tx: &mut Tx<'_>, recipient: &str, locale: Locale, message: &Message) -> Result<MailId, Error> {
    let id = MailId::new(tx.now);
    diesel::insert_into(mail_outbox::table)
        .values((
            mail_outbox::id.eq(id),
            mail_outbox::recipient.eq(recipient),
            mail_outbox::locale.eq(locale.as_str()),
            mail_outbox::message.eq(serde_json::to_value(message).map_err(Error::internal)?),
            mail_outbox::created_at.eq(tx.now),
            mail_outbox::next_attempt_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    tx.queue_mail();
    Ok(id)
}

/// How many mails (of one kind, or of all) were put into the outbox for `recipient` since `since`: what limits mail to one
/// address.
///
/// # Errors
/// The database fails.
pub fn count_since(tx: &mut Tx<'_>, recipient: &str, kind: Option<&str>, since: DateTime<Utc>) -> Result<i64, Error> {
    let mails = mail_outbox::table
        .filter(mail_outbox::recipient.eq(recipient))
        .filter(mail_outbox::created_at.gt(since));
    Ok(match kind {
        Some(kind) => {
            let of_kind = mail_outbox::message.retrieve_as_text("kind").eq(kind);
            mails.filter(of_kind).count().get_result(tx.conn)?
        }
        None => mails.count().get_result(tx.conn)?,
    })
}

/// Deletes the mails that were sent or given up and are older than `before`; answers how many.
///
/// # Errors
/// The database fails.
pub fn sweep(tx: &mut Tx<'_>, before: DateTime<Utc>) -> Result<usize, Error> {
    let over = mail_outbox::sent_at
        .is_not_null()
        .or(mail_outbox::failed_at.is_not_null());
    let swept = diesel::delete(
        mail_outbox::table
            .filter(mail_outbox::created_at.lt(before))
            .filter(over),
    );
    Ok(swept.execute(tx.conn)?)
}

/// A row that was claimed.
pub struct Claimed {
    pub id: MailId,
    pub recipient: String,
    pub locale: Locale,
    pub message: serde_json::Value,
    pub created_at: DateTime<Utc>,
    pub attempts: i32,
}

impl Claimed {
    /// The word for its kind of message, for the log.
    pub fn kind(&self) -> &str {
        self.message
            .get("kind")
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
    }
}

/// What an attempt changes in its row; what is none stays.
#[derive(Clone, Default, AsChangeset)]
#[diesel(table_name = mail_outbox)]
pub struct Patch {
    pub sent_at: Option<DateTime<Utc>>,
    pub failed_at: Option<DateTime<Utc>>,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
}

type Row = (MailId, String, String, serde_json::Value, DateTime<Utc>, i32);

/// Claims at most `most` due rows until `lease` is over.
///
/// Two statements in one transaction, for a locking subquery with a limit may be run more than once by an UPDATE.
pub fn claim(tx: &mut Tx<'_>, most: i64, lease: TimeDelta) -> Result<Vec<Claimed>, Error> {
    let due: Vec<MailId> = mail_outbox::table
        .select(mail_outbox::id)
        .filter(mail_outbox::sent_at.is_null().and(mail_outbox::failed_at.is_null()))
        .filter(mail_outbox::next_attempt_at.le(tx.now))
        .order(mail_outbox::next_attempt_at)
        .limit(most)
        .for_update()
        .skip_locked()
        .load(tx.conn)?;
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows: Vec<Row> = diesel::update(mail_outbox::table.filter(mail_outbox::id.eq_any(&due)))
        .set((
            mail_outbox::next_attempt_at.eq(tx.now + lease),
            mail_outbox::attempts.eq(mail_outbox::attempts + 1),
        ))
        .returning((
            mail_outbox::id,
            mail_outbox::recipient,
            mail_outbox::locale,
            mail_outbox::message,
            mail_outbox::created_at,
            mail_outbox::attempts,
        ))
        .load(tx.conn)?;
    rows.sort_by_key(|row| (row.4, row.0));
    let claimed = rows
        .into_iter()
        .map(|(id, recipient, locale, message, created_at, attempts)| Claimed {
            id,
            recipient,
            locale: Locale::stored(&locale),
            message,
            created_at,
            attempts,
        });
    Ok(claimed.collect())
}

/// Writes down how an attempt ended.
///
/// Only where the claim is still the newest one, and nothing is decided yet; but sent is sent, whoever did it.
pub fn settle(tx: &mut Tx<'_>, id: MailId, attempts: i32, change: &Patch) -> Result<(), Error> {
    let open = mail_outbox::table
        .filter(mail_outbox::id.eq(id))
        .filter(mail_outbox::sent_at.is_null().and(mail_outbox::failed_at.is_null()))
        .filter(
            mail_outbox::attempts
                .eq(attempts)
                .or(change.sent_at.is_some().into_sql::<diesel::sql_types::Bool>()),
        );
    diesel::update(open).set(change).execute(tx.conn)?;
    Ok(())
}

/// Gives claimed rows back, as if they had not been claimed.
pub fn release(tx: &mut Tx<'_>, ids: &[MailId]) -> Result<(), Error> {
    let open = mail_outbox::table
        .filter(mail_outbox::id.eq_any(ids))
        .filter(mail_outbox::sent_at.is_null().and(mail_outbox::failed_at.is_null()));
    diesel::update(open)
        .set((
            mail_outbox::next_attempt_at.eq(tx.now),
            mail_outbox::attempts.eq(mail_outbox::attempts - 1),
        ))
        .execute(tx.conn)?;
    Ok(())
}
