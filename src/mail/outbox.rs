//! Outbox.
use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;

use super::Message;
use crate::db::schema::mail_outbox;
use crate::error::Error;
use crate::ids::MailId;
use crate::locale::Locale;

/// Enqueue.
pub fn enqueue(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    recipient: &str,
    locale: Locale,
    message: &Message,
) -> Result<MailId, Error> {
    let id = MailId::new(now);
    diesel::insert_into(mail_outbox::table)
        .values((
            mail_outbox::id.eq(id),
            mail_outbox::recipient.eq(recipient),
            mail_outbox::locale.eq(locale.as_str()),
            mail_outbox::message.eq(serde_json::to_value(message).map_err(Error::internal)?),
            mail_outbox::created_at.eq(now),
            mail_outbox::next_attempt_at.eq(now),
        ))
        .execute(connection)?;
    Ok(id)
}
