//! Background work: migrations at the start, e-mail delivery, expiry reminders, usage of API keys, and the deletion of expired rows.
//! Each step is a function of its slice, which tests call; this file has only the loops.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::retention;
use crate::api_keys;
use crate::audit;
use crate::clock::Clock;
use crate::db::migrations::{self, NEWER_SCHEMA, Schema};
use crate::error::Error;
use crate::notifications::email::{Mailer, outbox};
use crate::state::State;

/// How often the outbox is read if no commit wakes the mailer: for e-mails queued by other instances, and for retries.
const MAIL_INTERVAL: Duration = Duration::from_secs(1);
/// How often expired rows are deleted. Queries ignore expired rows, so this only bounds the size of the tables.
const SWEEP_INTERVAL: Duration = Duration::from_mins(10);
/// How often API keys that are about to expire and audit counts whose period is over are looked for.
const REMINDER_INTERVAL: Duration = Duration::from_secs(10);
/// How often the metrics of the outbox are read from the database.
const MEASURE_INTERVAL: Duration = Duration::from_secs(15);
/// How often uses of API keys are written to the database.
const USAGE_FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// Time between attempts to migrate a database that is not reachable yet.
const MIGRATION_RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Maximum time for all pending migrations, with the wait for another instance that applies them.
const MIGRATION_TIMEOUT: Duration = Duration::from_mins(30);
/// When the service stops: maximum time for the step in progress, which is repeated after the next start, and then for
/// the uses of API keys.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

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
        let mut task = self.task;
        // An error of the task means that it panicked, which is logged already.
        if tokio::time::timeout(STOP_TIMEOUT, &mut task).await.is_err() {
            tracing::warn!("background work is not finished; it is repeated after the next start");
            task.abort();
        }
        let flush = async {
            // With this lock no flush is in progress, so that the task can be aborted without losing uses.
            let flush_lock = self.state.key_usage.flush_lock.lock().await;
            self.usage_flusher.abort();
            drop(flush_lock);
            api_keys::flush_usage(&self.state).await
        };
        let flushed = tokio::time::timeout(STOP_TIMEOUT, flush).await;
        if let Err(error) = flushed.unwrap_or_else(|elapsed| Err(Error::unavailable(elapsed))) {
            log("record the uses of API keys", &error);
        }
        let written = tokio::time::timeout(STOP_TIMEOUT, write_audit_counts(&self.state)).await;
        if let Err(error) = written.unwrap_or_else(|elapsed| Err(Error::unavailable(elapsed))) {
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
            () = migrate(state.clone(), database_url) => {}
            () = stopped.notified() => return,
        }
        match register_keys(&state).await {
            Ok(differences) => differences
                .iter()
                .for_each(|difference| tracing::error!("{difference}")),
            Err(error) => log("compare the keys with those of other instances", &error),
        }
        let mut measured_at: Option<tokio::time::Instant> = None;
        let mut reminded_at: Option<tokio::time::Instant> = None;
        loop {
            step(
                "deliver e-mails",
                outbox::deliver_due(&state.db, state.clock.now(), &mailer),
            )
            .await;
            if measured_at.is_none_or(|at| at.elapsed() >= MEASURE_INTERVAL) {
                measured_at = Some(tokio::time::Instant::now());
                step("measure the outbox", measure_outbox(&state)).await;
            }
            if reminded_at.is_none_or(|at| at.elapsed() >= REMINDER_INTERVAL) {
                reminded_at = Some(tokio::time::Instant::now());
                step("send expiry reminders", remind(&state)).await;
                step("write the counts of the audit log", write_audit_counts(&state)).await;
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

/// Compares the keys of this instance with those of the one that served the database last, and records its own.
pub async fn register_keys(state: &State) -> Result<Vec<&'static str>, Error> {
    let (now, keys) = (state.clock.now(), state.key_ids());
    let compared = keys.clone();
    let differences = state.db.read(now, move |tx| compared.differences(tx)).await?;
    if !state.db.is_read_only(now).await? {
        state.db.transaction(now, move |tx| keys.record(tx)).await?;
    }
    Ok(differences)
}

/// In a task of its own, because e-mail delivery can take longer than this interval.
async fn flush_usage_periodically(state: State) {
    loop {
        tokio::time::sleep(USAGE_FLUSH_INTERVAL).await;
        step("record the uses of API keys", api_keys::flush_usage(&state)).await;
    }
}

/// Runs a step, logs its failure, and keeps its metrics.
async fn step<T>(name: &'static str, work: impl Future<Output = Result<T, Error>>) {
    let started_at = tokio::time::Instant::now();
    match work.await {
        Ok(_) => {
            // For the clock of the monitoring system, which computes the time since.
            let now = Clock::system().now().timestamp();
            metrics::gauge!("keyward_worker_last_success_timestamp_seconds", "step" => name).set(capped(now));
        }
        Err(error) => {
            metrics::counter!("keyward_worker_failures_total", "step" => name).increment(1);
            log(name, &error);
        }
    }
    metrics::gauge!("keyward_worker_duration_seconds", "step" => name).set(started_at.elapsed().as_secs_f64());
}

/// Larger numbers do not occur: seconds reach this limit in 2106.
fn capped(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

async fn measure_outbox(state: &State) -> Result<(), Error> {
    let now = state.clock.now();
    let (pending, oldest) = state.db.read(now, outbox::pending).await?;
    let age = oldest.map_or(0, |oldest| (now - oldest).num_seconds());
    metrics::gauge!("keyward_mail_pending").set(capped(pending));
    metrics::gauge!("keyward_mail_oldest_pending_seconds").set(capped(age));
    Ok(())
}

/// In a task of its own, because deleting a large backlog takes longer than an e-mail may wait.
async fn sweep_periodically(state: State) {
    retention::register_metrics();
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        state.rate_limit.sweep();
        state.write_limit.sweep(state.clock.now());
        step("delete expired rows", retention::sweep(&state)).await;
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

/// Returns once the schema of the database is that of this program, or a newer one.
async fn migrate(state: State, database_url: SecretString) {
    let mut last_failure = String::new();
    loop {
        let result = match state.db.schema(state.clock.now()).await {
            Ok(Schema::Pending) => apply_migrations(database_url.clone()).await,
            result => result,
        };
        match result {
            Ok(Schema::Current) => return,
            Ok(Schema::Newer) => return tracing::error!("{NEWER_SCHEMA}"),
            Ok(Schema::Pending) => {}
            Err(error) => {
                // Not each attempt: the database can be away for long.
                let failure = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
                if failure != last_failure {
                    log("migrate the database", &error);
                    last_failure = failure;
                }
            }
        }
        tokio::time::sleep(MIGRATION_RETRY_INTERVAL).await;
    }
}

/// On a thread of its own, which is abandoned if the database stops to respond. The process can end without it.
async fn apply_migrations(database_url: SecretString) -> Result<Schema, Error> {
    let (sender, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name("migrations".to_owned());
    thread
        .spawn(move || drop(sender.send(migrations::migrate(&database_url))))
        .map_err(Error::unavailable)?;
    let result = tokio::time::timeout(MIGRATION_TIMEOUT, result).await;
    result.map_err(Error::unavailable)?.map_err(Error::unavailable)?
}

fn log(step: &str, error: &Error) {
    tracing::warn!(source = ?std::error::Error::source(error).map(ToString::to_string), "cannot {step}");
}
