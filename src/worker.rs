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
use crate::mail::{Mailer, outbox};
use crate::state::State;
use crate::{accounts, auth, http, notifications, one_time_tokens};

/// How often the outbox is looked at when nobody says that there is something in it.
const MAIL_INTERVAL: Duration = Duration::from_secs(1);
/// How often what has expired is swept away; nothing depends on it but the size of the tables.
const SWEEP_INTERVAL: Duration = Duration::from_mins(10);
/// How long a mail that was sent stays in the outbox: the limit of mail to one address counts them.
const MAIL_KEPT: TimeDelta = TimeDelta::days(1);
/// How long to wait for a database that is not there.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// The loop, running.
pub struct Background {
    task: JoinHandle<()>,
    stop: Arc<Notify>,
}

impl Background {
    /// Lets the step in progress finish.
    pub async fn stop(self) {
        self.stop.notify_one();
        // It can only have panicked, which is in the log already.
        let _ = self.task.await;
    }
}

/// Starts the loop. The service is up before its database is: the first thing is to wait for it and migrate it.
pub fn spawn(state: State, database_url: SecretString, mailer: Mailer) -> Background {
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let task = tokio::task::spawn_local(async move {
        tokio::select! {
            () = migrate(database_url) => {}
            () = stopped.notified() => return,
        }
        let mut swept = tokio::time::Instant::now();
        loop {
            if let Err(error) = outbox::deliver_due(&state.db, state.clock.now(), &mailer).await {
                log("deliver mail", &error);
            }
            if swept.elapsed() >= SWEEP_INTERVAL {
                swept = tokio::time::Instant::now();
                if let Err(error) = sweep(&state).await {
                    log("sweep", &error);
                }
            }
            tokio::select! {
                () = state.mail_waiting.notified() => {}
                () = tokio::time::sleep(MAIL_INTERVAL) => {}
                () = stopped.notified() => return,
            }
        }
    });
    Background { task, stop }
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
        .run(move |connection| {
            http::sweep_idempotency_keys(connection, now)?;
            auth::sweep_password_attempts(connection, now)?;
            one_time_tokens::sweep(connection, now)?;
            accounts::sweep_registrations(connection, now)?;
            notifications::sweep(connection, now)?;
            outbox::sweep(connection, now - MAIL_KEPT)?;
            Ok(())
        })
        .await
}

fn log(step: &str, error: &Error) {
    tracing::warn!(source = ?std::error::Error::source(error).map(ToString::to_string), "cannot {step}");
}
