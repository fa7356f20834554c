//! The e-mails of an announcement, queued by one statement.

use diesel::RunQueryDsl as _;
use diesel::sql_types::{Integer, Jsonb, Nullable, Text, Timestamptz, Uuid};

use crate::db::Tx;
use crate::error::Error;
use crate::notifications::event::{Event, NotificationType};
use crate::values::ids::OrgId;

/// The users that an announcement is sent to; `$1` is the organisation, or null for all users.
pub const ANNOUNCEMENT_AUDIENCE: &str = "users WHERE users.email_verified_at IS NOT NULL AND users.disabled_at IS NULL \
     AND ($1 IS NULL OR EXISTS (SELECT FROM memberships m WHERE m.user_id = users.id AND m.org_id = $1))";

/// Queues the e-mails of an announcement. Only a few become due each second, so that they don't delay e-mails that a person
/// waits for, such as a password reset.
pub fn enqueue_announcement(tx: &mut Tx<'_>, event: &Event, org_id: Option<OrgId>) -> Result<(), Error> {
    const MAILS_PER_SECOND: i32 = 20;
    let statement = format!(
        "INSERT INTO mail_outbox (id, recipient, locale, message, created_at, next_attempt_at) \
         SELECT keyward_uuid_v7($2), users.email, users.locale, $4, $2, \
                $2 + make_interval(secs => (row_number() OVER () - 1) / $5) \
         FROM {ANNOUNCEMENT_AUDIENCE} \
         AND NOT EXISTS (SELECT FROM mail_opt_outs o WHERE o.user_id = users.id AND o.type = $3)"
    );
    diesel::sql_query(statement)
        .bind::<Nullable<Uuid>, _>(org_id)
        .bind::<Timestamptz, _>(tx.now)
        .bind::<Text, _>(NotificationType::Announcement)
        .bind::<Jsonb, _>(serde_json::to_value(event).map_err(Error::internal)?)
        .bind::<Integer, _>(MAILS_PER_SECOND)
        .execute(tx.conn)?;
    tx.queue_mail();
    Ok(())
}
