//! Background work: migrations at the start, e-mail delivery, expiry reminders, usage of API keys, and the deletion of expired rows.
//! Each step is a function of its slice, which tests call; this file has only the loops.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::retention;
use crate::api_keys;
use crate::audit;
use crate::db::migrations;
use crate::error::Error;
use crate::notifications::email::{Mailer, outbox};
use crate::state::State;

/// How often the outbox is read if no commit wakes the mailer: for e-mails queued by other instances, and for retries.
const MAIL_INTERVAL: Duration = Duration::from_secs(1);
/// How often expired rows are deleted. Queries ignore expired rows, so this only bounds the size of the tables.
const SWEEP_INTERVAL: Duration = Duration::from_mins(10);
/// How often API keys that are about to expire and audit counts whose period is over are looked for.
const REMINDER_INTERVAL: Duration = Duration::from_secs(10);
/// How often uses of API keys are written to the database.
const USAGE_FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// Time between attempts to migrate a database that is not reachable yet.
const MIGRATION_RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// The running loops.
pub struct Background {
    task: JoinHandle<()>,
    stop: Arc<Notify>,
    usage_flusher: JoinHandle<()>,
    sweeper: JoinHandle<()>,
    state: State,
}

impl Background {
    /// Waits for the step in progress, and writes the uses of API keys that are not in the database yet.
    pub async fn stop(self) {
        self.stop.notify_one();
        // A batch in progress commits or is rolled back; the next instance continues.
        self.sweeper.abort();
        // An error means that the task panicked, which is logged already.
        let _ = self.task.await;
        // With this lock no flush is in progress, so that the task can be aborted without losing uses.
        let flush_lock = self.state.key_usage.flush_lock.lock().await;
        self.usage_flusher.abort();
        drop(flush_lock);
        if let Err(error) = api_keys::flush_usage(&self.state).await {
            log("record the uses of API keys", &error);
        }
        if let Err(error) = write_audit_counts(&self.state).await {
            log("write the counts of the audit log", &error);
        }
    }
}

/// Starts the loops. The service may start before its database: the first step waits for the database and migrates it.
pub fn spawn(state: State, database_url: SecretString, mailer: Mailer) -> Background {
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let background_state = state.clone();
    let usage_flusher = tokio::task::spawn_local(flush_usage_periodically(state.clone()));
    let sweeper = tokio::task::spawn_local(sweep_periodically(state.clone()));
    let task = tokio::task::spawn_local(async move {
        tokio::select! {
            () = migrate(database_url) => {}
            () = stopped.notified() => return,
        }
        let mut reminded_at: Option<tokio::time::Instant> = None;
        loop {
            if let Err(error) = outbox::deliver_due(&state.db, state.clock.now(), &mailer).await {
                log("deliver e-mails", &error);
            }
            if reminded_at.is_none_or(|at| at.elapsed() >= REMINDER_INTERVAL) {
                reminded_at = Some(tokio::time::Instant::now());
                if let Err(error) = remind(&state).await {
                    log("send expiry reminders", &error);
                }
                if let Err(error) = write_audit_counts(&state).await {
                    log("write the counts of the audit log", &error);
                }
            }
            tokio::select! {
                () = state.db.mail_queued().notified() => {}
                () = tokio::time::sleep(MAIL_INTERVAL) => {}
                () = stopped.notified() => return,
            }
        }
    });
    Background {
        task,
        stop,
        usage_flusher,
        sweeper,
        state: background_state,
    }
}

/// In a task of its own, because e-mail delivery can take longer than this interval.
async fn flush_usage_periodically(state: State) {
    loop {
        tokio::time::sleep(USAGE_FLUSH_INTERVAL).await;
        if let Err(error) = api_keys::flush_usage(&state).await {
            log("record the uses of API keys", &error);
        }
    }
}

/// In a task of its own, because deleting a large backlog takes longer than an e-mail may wait.
async fn sweep_periodically(state: State) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        if let Err(error) = retention::sweep(&state).await {
            log("delete expired rows", &error);
        }
    }
}

/// Sends the reminders of all API keys that are about to expire.
pub async fn remind(state: &State) -> Result<(), Error> {
    let now = state.clock.now();
    while state.db.transaction(now, api_keys::remind).await? > 0 {}
    Ok(())
}

/// Writes the refused requests counted in memory, and turns the counts whose period is over into audit records.
pub async fn write_audit_counts(state: &State) -> Result<(), Error> {
    let now = state.clock.now();
    let refused = Arc::new(state.refused_requests.take());
    if !refused.is_empty() {
        let counted = Arc::clone(&refused);
        let written = state
            .db
            .transaction(now, move |tx| audit::count_refused(tx, &counted))
            .await;
        if written.is_err() {
            state.refused_requests.restore(refused.to_vec());
        }
        written?;
    }
    while state.db.transaction(now, audit::close_counts).await? > 0 {}
    Ok(())
}

async fn migrate(database_url: SecretString) {
    loop {
        let url = database_url.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "once, before the pool has a database to connect to"
        )]
        let done = tokio::task::spawn_blocking(move || migrations::migrate(&url)).await;
        match done {
            Ok(Ok(())) => return,
            Ok(Err(error)) => log("migrate the database", &error),
            Err(error) => tracing::error!(%error, "cannot migrate the database"),
        }
        tokio::time::sleep(MIGRATION_RETRY_INTERVAL).await;
    }
}

fn log(step: &str, error: &Error) {
    tracing::warn!(source = ?std::error::Error::source(error).map(ToString::to_string), "cannot {step}");
}
