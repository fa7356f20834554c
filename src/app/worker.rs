//! What happens without being asked for: migrations at the start, mail, sweeps. Each step is a function of its slice, which
//! tests call; here is only the loop.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use secrecy::SecretString;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::db::migrations;
use crate::error::Error;
use crate::notifications::email::{Mailer, outbox};
use crate::state::State;
use crate::{account, api_keys, auth, http, notifications, one_time_tokens};

/// How often the outbox is looked at when nobody says that there is something in it.
const MAIL_INTERVAL: Duration = Duration::from_secs(1);
/// How often what has expired is swept away; nothing depends on it but the size of the tables.
const SWEEP_INTERVAL: Duration = Duration::from_mins(10);
/// How long a mail that was sent stays in the outbox: the limit of mail to one address counts them.
const MAIL_KEPT: TimeDelta = TimeDelta::days(1);
/// How often to look for keys that are about to expire.
const REMIND_INTERVAL: Duration = Duration::from_secs(10);
/// How often the uses of keys are written down.
const BOOKS_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait for a database that is not there.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// The loop, running.
pub struct Background {
    task: JoinHandle<()>,
    stop: Arc<Notify>,
    bookkeeper: JoinHandle<()>,
    state: State,
}

impl Background {
    /// Lets the step in progress finish.
    pub async fn stop(self) {
        self.stop.notify_one();
        // It can only have panicked, which is in the log already.
        let _ = self.task.await;
        // Between two flushes it is asleep; one in progress has its turn, and the last one comes behind it.
        let turn = self.state.key_usage.flush_lock.lock().await;
        self.bookkeeper.abort();
        drop(turn);
        if let Err(error) = api_keys::flush_usage(&self.state).await {
            log("write down the uses of keys", &error);
        }
    }
}

/// Starts the loop. The service is up before its database is: the first thing is to wait for it and migrate it.
pub fn spawn(state: State, database_url: SecretString, mailer: Mailer) -> Background {
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let kept = state.clone();
    let bookkeeper = tokio::task::spawn_local(keep_books(state.clone()));
    let task = tokio::task::spawn_local(async move {
        tokio::select! {
            () = migrate(database_url) => {}
            () = stopped.notified() => return,
        }
        let mut swept = tokio::time::Instant::now();
        let mut reminded: Option<tokio::time::Instant> = None;
        loop {
            if let Err(error) = outbox::deliver_due(&state.db, state.clock.now(), &mailer).await {
                log("deliver mail", &error);
            }
            if reminded.is_none_or(|at| at.elapsed() >= REMIND_INTERVAL) {
                reminded = Some(tokio::time::Instant::now());
                if let Err(error) = remind(&state).await {
                    log("warn of keys that expire", &error);
                }
            }
            if swept.elapsed() >= SWEEP_INTERVAL {
                swept = tokio::time::Instant::now();
                if let Err(error) = sweep(&state).await {
                    log("sweep", &error);
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
        bookkeeper,
        state: kept,
    }
}

/// Writes down the uses of keys, apart from the other steps, which may take their time.
async fn keep_books(state: State) {
    loop {
        tokio::time::sleep(BOOKS_INTERVAL).await;
        if let Err(error) = api_keys::flush_usage(&state).await {
            log("write down the uses of keys", &error);
        }
    }
}

/// Warns of all keys that are about to expire.
///
/// # Errors
/// When the database fails.
pub async fn remind(state: &State) -> Result<(), Error> {
    let now = state.clock.now();
    while state.db.transaction(now, api_keys::remind).await? > 0 {}
    Ok(())
}

async fn migrate(database_url: SecretString) {
    loop {
        let url = database_url.clone();
        #[expect(clippy::disallowed_methods, reason = "once, before the pool is of use")]
        let done = tokio::task::spawn_blocking(move || migrations::migrate(&url)).await;
        match done {
            Ok(Ok(())) => return,
            Ok(Err(error)) => log("migrate", &error),
            Err(error) => tracing::error!(%error, "cannot migrate"),
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// Deletes what has expired for good.
///
/// # Errors
/// When the database fails.
pub async fn sweep(state: &State) -> Result<(), Error> {
    let now = state.clock.now();
    state.rate_limit.sweep();
    state
        .db
        .read(now, move |tx| {
            http::sweep_idempotency_keys(tx)?;
            auth::sweep_password_attempts(tx)?;
            one_time_tokens::sweep(tx)?;
            account::sweep_registrations(tx)?;
            notifications::sweep(tx)?;
            outbox::sweep(tx, now - MAIL_KEPT)?;
            api_keys::sweep_usage(tx)?;
            Ok(())
        })
        .await
}

fn log(step: &str, error: &Error) {
    tracing::warn!(source = ?std::error::Error::source(error).map(ToString::to_string), "cannot {step}");
}
