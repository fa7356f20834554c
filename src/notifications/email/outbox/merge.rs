//! Merging of notices: an address that received many e-mails about one event gets the further ones as one e-mail an hour.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Jsonb, Text, Timestamptz, Uuid};

use super::store::queued_since;
use crate::db::Tx;
use crate::db::schema::mail_outbox;
use crate::error::Error;
use crate::notifications::event::Event;
use crate::values::ids::MailId;
use crate::values::locale::Locale;

const WINDOW: TimeDelta = TimeDelta::hours(1);
/// The number of e-mails about one event that an address receives at once in [`WINDOW`].
const MAX_PER_EVENT: i64 = 5;
/// The number of e-mails about all events. It doesn't hold back notices about the security of the account, so that no flood of
/// others can delay them.
const MAX_PER_ADDRESS: i64 = 20;

/// Until when a notice is held back and merged with those that follow; `None` if it is sent at once.
pub fn held_until(tx: &mut Tx<'_>, recipient: &str, event: &Event) -> Result<Option<DateTime<Utc>>, Error> {
    if !tx.rate_limits || !event.can_be_merged() {
        return Ok(None);
    }
    let since = tx.now - WINDOW;
    let is_event = mail_outbox::message.retrieve_as_text("event").eq(event.name());
    let mut oldest_counted: Option<DateTime<Utc>> = queued_since(recipient, since)
        .filter(is_event)
        .order(mail_outbox::created_at.desc())
        .offset(MAX_PER_EVENT - 1)
        .select(mail_outbox::created_at)
        .first(tx.conn)
        .optional()?;
    if oldest_counted.is_none() && !event.is_security() {
        oldest_counted = queued_since(recipient, since)
            .order(mail_outbox::created_at.desc())
            .offset(MAX_PER_ADDRESS - 1)
            .select(mail_outbox::created_at)
            .first(tx.conn)
            .optional()?;
    }
    Ok(oldest_counted.map(|oldest| oldest + WINDOW))
}

/// Queues an e-mail that is held back, or replaces the one that is held back already. The e-mail shows the newest event, and
/// how many there were before it.
pub fn enqueue_merged(
    tx: &mut Tx<'_>,
    recipient: &str,
    locale: Locale,
    event: &Event,
    held_until: DateTime<Utc>,
) -> Result<(), Error> {
    const UPSERT: &str = "INSERT INTO mail_outbox \
             (id, recipient, locale, message, created_at, next_attempt_at, open_to_merge) \
         VALUES ($1, $2, $3, $4, $5, $6, true) \
         ON CONFLICT (recipient, (message ->> 'event')) WHERE open_to_merge DO UPDATE \
         SET locale = excluded.locale, message = excluded.message, created_at = excluded.created_at, \
             merged = mail_outbox.merged + 1";
    diesel::sql_query(UPSERT)
        .bind::<Uuid, _>(MailId::new(tx.now))
        .bind::<Text, _>(recipient)
        .bind::<Text, _>(locale)
        .bind::<Jsonb, _>(serde_json::to_value(event).map_err(Error::internal)?)
        .bind::<Timestamptz, _>(tx.now)
        .bind::<Timestamptz, _>(held_until)
        .execute(tx.conn)?;
    Ok(())
}
