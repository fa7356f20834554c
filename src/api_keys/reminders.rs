//! Reminders before a key expires: one each 30, 7 and 1 days before, for each expiry. An extension starts over.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text, Timestamptz, Uuid as SqlUuid};

use crate::db::Tx;
use crate::db::schema::api_key_reminders;
use crate::db::sweep::Sweep;
use crate::error::Error;
use crate::notifications::{self, Event, Recipient};
use crate::values::ids::{ApiKeyId, UserId};
use crate::values::locale::Locale;

/// How many days before the expiry reminders are sent. The query in [`remind`] has the same numbers.
pub const REMINDER_DAYS: [i32; 3] = [30, 7, 1];
/// Keys per transaction.
const BATCH_SIZE: i64 = 100;

/// A key whose owner is to be reminded.
#[derive(QueryableByName)]
struct DueKey {
    #[diesel(sql_type = SqlUuid)]
    id: ApiKeyId,
    #[diesel(sql_type = SqlUuid)]
    user_id: UserId,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    hint: String,
    #[diesel(sql_type = Timestamptz)]
    expires_at: DateTime<Utc>,
    /// The smallest of [`REMINDER_DAYS`] that applies.
    #[diesel(sql_type = Integer)]
    days_before: i32,
    #[diesel(sql_type = Text)]
    email: String,
    #[diesel(sql_type = Text)]
    locale: String,
}

/// Sends the reminders that are due for one batch of keys, and returns the number of keys; 0 when none is left.
///
/// If several reminders of a key are due (the service was down), only the most urgent is sent. Keys that are disabled
/// or suspended get none. Keys locked by another instance are skipped, as that instance is sending theirs.
pub fn remind(tx: &mut Tx<'_>) -> Result<usize, Error> {
    let due: Vec<DueKey> = diesel::sql_query(
        "SELECT k.id, k.user_id, k.name, k.hint, k.expires_at, due.days_before, u.email, u.locale \
         FROM api_keys k JOIN users u ON u.id = k.user_id, \
              LATERAL (SELECT CASE WHEN k.expires_at <= $1 + interval '1 day' THEN 1 \
                                   WHEN k.expires_at <= $1 + interval '7 days' THEN 7 ELSE 30 END AS days_before) due \
         WHERE k.expires_at > $1 AND k.expires_at <= $1 + interval '30 days' \
           AND k.disabled_at IS NULL AND u.disabled_at IS NULL AND (k.org_id IS NULL OR k.membership_id IS NOT NULL) \
           AND NOT EXISTS (SELECT FROM api_key_reminders r WHERE r.api_key_id = k.id AND r.expires_at = k.expires_at \
                           AND r.days_before <= due.days_before) \
         ORDER BY k.expires_at LIMIT $2 FOR UPDATE OF k SKIP LOCKED",
    )
    .bind::<Timestamptz, _>(tx.now)
    .bind::<BigInt, _>(BATCH_SIZE)
    .load(tx.conn)?;
    for key in &due {
        let inserted = diesel::insert_into(api_key_reminders::table)
            .values((
                api_key_reminders::api_key_id.eq(key.id),
                api_key_reminders::expires_at.eq(key.expires_at),
                api_key_reminders::days_before.eq(key.days_before),
                api_key_reminders::sent_at.eq(tx.now),
            ))
            .on_conflict_do_nothing()
            .execute(tx.conn)?;
        if inserted == 1 {
            notify_expiring(tx, key)?;
        }
    }
    Ok(due.len())
}

fn notify_expiring(tx: &mut Tx<'_>, key: &DueKey) -> Result<(), Error> {
    let event = Event::ApiKeyExpiring {
        api_key_id: key.id,
        name: key.name.clone(),
        hint: key.hint.clone(),
        days: key.days_before,
        expires_at: key.expires_at,
    };
    let recipient = Recipient {
        user_id: key.user_id,
        email: &key.email,
        locale: Locale::stored(&key.locale),
    };
    notifications::notify(tx, recipient, &event)
}

/// Reminders of expiries that have passed.
pub const SWEEP: Sweep = Sweep {
    table: "api_key_reminders",
    ended: "expires_at < $1",
    order_by: "expires_at",
    retention: |_| Some(TimeDelta::zero()),
    cutoff_setting: None,
};
