//! Why no table grows for ever: which rows are deleted after which time, and what bounds the tables whose rows stay.

use crate::config::Config;
use crate::db::sweep::{BATCH, Sweep};
use crate::error::Error;
use crate::state::State;
use crate::{account, api_keys, audit, auth, http, notifications, one_time_tokens, orgs, sessions, users};

/// What keeps a table from growing for ever.
#[derive(Clone, Copy)]
pub enum Growth {
    /// Rows are deleted some time after they have ended.
    Swept(&'static [Sweep]),
    /// Rows end only with what they belong to, of which there is a limited number.
    Bounded(&'static str),
}

/// Every table; a test compares the names with the schema.
pub const TABLES: &[(&str, Growth)] = &[
    ("api_key_reminders", Growth::Swept(&[api_keys::REMINDERS_SWEEP])),
    ("api_key_secrets", Growth::Bounded("two per API key")),
    ("api_key_usage", Growth::Swept(&[api_keys::USAGE_SWEEP])),
    ("api_keys", Growth::Bounded("100 per user")),
    (
        "audit_counts",
        Growth::Bounded("one per action, account and network, for an hour"),
    ),
    ("audit_log", Growth::Swept(&[audit::SWEEP])),
    ("deployment", Growth::Bounded("one row")),
    ("email_changes", Growth::Swept(&[account::EMAIL_CHANGES_SWEEP])),
    ("idempotency_keys", Growth::Swept(&[http::IDEMPOTENCY_KEYS_SWEEP])),
    (
        "images",
        Growth::Bounded("one per user and organisation; a new one replaces it"),
    ),
    ("invitations", Growth::Swept(&[orgs::INVITATIONS_SWEEP])),
    ("join_requests", Growth::Swept(&orgs::JOIN_REQUESTS_SWEEPS)),
    (
        "mail_opt_outs",
        Growth::Bounded("one per user and type of notification"),
    ),
    ("mail_outbox", Growth::Swept(&[notifications::email::SWEEP])),
    ("mail_requests", Growth::Swept(&[notifications::email::limit::SWEEP])),
    ("memberships", Growth::Bounded("10,000 per organisation")),
    ("notifications", Growth::Swept(&notifications::SWEEPS)),
    ("one_time_tokens", Growth::Swept(&[one_time_tokens::SWEEP])),
    ("orgs", Growth::Bounded("an owner of 100 can create no other")),
    ("password_attempts", Growth::Swept(&[auth::PASSWORD_ATTEMPTS_SWEEP])),
    ("registrations", Growth::Swept(&[account::REGISTRATIONS_SWEEP])),
    ("released_usernames", Growth::Swept(&[users::RELEASED_USERNAMES_SWEEP])),
    ("sessions", Growth::Swept(&sessions::SWEEPS)),
    ("users", Growth::Swept(&[users::UNVERIFIED_SWEEP])),
];

/// The sweeps in the order of [`TABLES`].
pub fn sweeps() -> impl Iterator<Item = &'static Sweep> {
    TABLES.iter().flat_map(|(_, growth)| match growth {
        Growth::Swept(sweeps) => sweeps.iter(),
        Growth::Bounded(_) => [].iter(),
    })
}

/// Deletes the rows of all tables whose retention has ended. One table that fails doesn't keep the others from being swept.
///
/// # Errors
/// The first error.
pub async fn sweep(state: &State) -> Result<(), Error> {
    let mut outcome = Ok(());
    for sweep in sweeps() {
        let swept = sweep_table(state, *sweep).await;
        outcome = outcome.and(swept);
    }
    outcome
}

/// Makes the counters of all tables appear, with 0.
pub fn register_metrics() {
    for sweep in sweeps() {
        deleted_rows(sweep).increment(0);
    }
}

fn deleted_rows(sweep: &Sweep) -> metrics::Counter {
    metrics::counter!("keyward_swept_rows_total", "table" => sweep.table)
}

async fn sweep_table(state: &State, sweep: Sweep) -> Result<(), Error> {
    let config: &Config = &state.config;
    let Some(retention) = (sweep.retention)(config) else {
        return Ok(());
    };
    loop {
        let now = state.clock.now();
        let deleted = state
            .db
            .transaction(now, move |tx| sweep.delete_batch(tx, retention))
            .await?;
        deleted_rows(&sweep).increment(u64::try_from(deleted).unwrap_or_default());
        if deleted < BATCH {
            return Ok(());
        }
    }
}
