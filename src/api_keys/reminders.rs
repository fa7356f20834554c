//! Warnings before a key expires: 30, 7 and 1 days, each once for each expiry.

use crate::db::Tx;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Integer, Text, Timestamptz, Uuid as SqlUuid};

use crate::db::schema::api_key_reminders;
use crate::error::Error;
use crate::notifications::email::Message;
use crate::notifications::{self, Notice, Recipient};
use crate::values::ids::{ApiKeyId, UserId};
use crate::values::locale::Locale;

/// How many are warned of in one transaction.
const BATCH: i64 = 100;

#[derive(QueryableByName)]
struct Due {
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
    #[diesel(sql_type = Integer)]
    days: i32,
    #[diesel(sql_type = Text)]
    email: String,
    #[diesel(sql_type = Text)]
    locale: String,
}

/// Warns of the keys that are about to expire, some at a time; says of how many. In one transaction.
///
/// Only the most urgent warning goes out, however long nobody looked. Keys that do not work anyway are left out, as are
/// those that another instance is just warning of.
///
/// # Errors
/// When the database fails.
pub fn remind(tx: &mut Tx<'_>) -> Result<usize, Error> {
    let due: Vec<Due> = diesel::sql_query(
        "SELECT k.id, k.user_id, k.name, k.hint, k.expires_at, due.days, u.email, u.locale \
         FROM api_keys k JOIN users u ON u.id = k.user_id, \
              LATERAL (SELECT CASE WHEN k.expires_at <= $1 + interval '1 day' THEN 1 \
                                   WHEN k.expires_at <= $1 + interval '7 days' THEN 7 ELSE 30 END AS days) due \
         WHERE k.expires_at > $1 AND k.expires_at <= $1 + interval '30 days' \
           AND k.disabled_at IS NULL AND u.disabled_at IS NULL AND (k.org_id IS NULL OR k.membership_id IS NOT NULL) \
           AND NOT EXISTS (SELECT FROM api_key_reminders r WHERE r.api_key_id = k.id AND r.expires_at = k.expires_at \
                           AND r.days_before <= due.days) \
         ORDER BY k.expires_at LIMIT $2 FOR UPDATE OF k SKIP LOCKED",
    )
    .bind::<Timestamptz, _>(tx.now)
    .bind::<diesel::sql_types::BigInt, _>(BATCH)
    .load(tx.conn)?;
    for key in &due {
        let sent = diesel::insert_into(api_key_reminders::table)
            .values((
                api_key_reminders::api_key_id.eq(key.id),
                api_key_reminders::expires_at.eq(key.expires_at),
                api_key_reminders::days_before.eq(key.days),
                api_key_reminders::sent_at.eq(tx.now),
            ))
            .on_conflict_do_nothing()
            .execute(tx.conn)?;
        if sent == 1 {
            tell(tx, key)?;
        }
    }
    Ok(due.len())
}

fn tell(tx: &mut Tx<'_>, key: &Due) -> Result<(), Error> {
    let notice = Notice::ApiKeyExpiring {
        api_key_id: key.id,
        name: key.name.clone(),
        hint: key.hint.clone(),
        days: key.days,
        expires_at: key.expires_at,
    };
    let recipient = Recipient {
        user_id: key.user_id,
        email: &key.email,
        locale: Locale::stored(&key.locale),
    };
    let message = Message::ApiKeyExpiring {
        name: key.name.clone(),
        hint: key.hint.clone(),
        days: key.days.unsigned_abs(),
        expires_at: key.expires_at,
    };
    notifications::tell(tx, recipient, (&notice, None), &message)
}
