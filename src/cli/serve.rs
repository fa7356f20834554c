//! `keyward serve`.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::context::CommandContext;
use super::failure::{Failure, one_line};
use super::output::print;
use crate::app::{self, worker};
use crate::config::{Config, DEFAULT_ADMIN_BIND};
use crate::notifications::email::Mailer;
use crate::observability::metrics;
use crate::secret::random;

pub struct Listeners {
    api: TcpListener,
    /// For `/metrics`; `None` if the default port is in use.
    admin: Option<TcpListener>,
}

pub fn listen(config: &Config) -> Result<Listeners, Failure> {
    let api = bind("KEYWARD_BIND", config.bind)?;
    let admin = match config.admin_bind {
        Some(address) => Some(bind("KEYWARD_ADMIN_BIND", address)?),
        // A second instance on the same machine should start without configuration.
        None => bind("KEYWARD_ADMIN_BIND", DEFAULT_ADMIN_BIND)
            .inspect_err(|failure| tracing::warn!(%failure, "serving no metrics"))
            .ok(),
    };
    Ok(Listeners { api, admin })
}

fn bind(variable: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .map_err(|error| format!("{variable}: cannot listen on {address}: {error}; choose another address or port"))
}

/// Raises the limit of open files to what the system allows. The usual limit of 1,024 is meant for programs that pass file
/// descriptors to `select(2)`.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, maximum)| setrlimit(Resource::RLIMIT_NOFILE, maximum, maximum));
    if let Err(error) = raised {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

/// Serves until SIGTERM, SIGHUP, SIGINT or SIGQUIT; a second one does not wait for requests in progress.
pub fn run(context: &CommandContext, listeners: Listeners) -> Result<(), Failure> {
    raise_file_limit();
    for warning in context.config.warnings() {
        tracing::warn!("{warning}");
    }
    let metrics = metrics::install_recorder()?;
    let keystore = context.keystore()?;
    let state = context.state(keystore)?;
    let (secret, texts) = (state.secret.clone(), Arc::clone(&state.texts));
    let mailer = Mailer::new(&state.config, &context.data_dir, secret, texts).map_err(one_line)?;
    let database_url = context.database_url.clone();
    actix_web::rt::System::new().block_on(async move {
        let drain = Duration::from_secs(state.config.drain_seconds.into());
        let running = app::start(listeners.api, state.clone()).map_err(one_line)?;
        actix_web::rt::spawn(running.server);
        if let Some(admin) = listeners.admin {
            let measured = state.clone();
            let server = metrics::serve(admin, metrics, move || app::update_gauges(&measured));
            actix_web::rt::spawn(server.map_err(one_line)?);
        }
        let background = worker::spawn(state.clone(), database_url, mailer);
        print_first_steps(&state.config)?;
        let mut signals = Signals::listen().map_err(one_line)?;
        // SIGINT and SIGQUIT skip the drain: a person is waiting. SIGTERM comes from a service manager, SIGHUP from a terminal
        // that was closed; the drain gives load balancers the time to notice that `/readyz` fails.
        let drain = match signals.next().await {
            Stop::Drain => drain,
            Stop::AtOnce => Duration::ZERO,
        };
        tracing::info!("stopping");
        let stopped = async {
            app::stop(&state, running.handle, drain).await;
            background.stop().await;
        };
        tokio::select! {
            () = stopped => {}
            _ = signals.next() => tracing::warn!("second signal: requests in progress are cut off"),
        }
        Ok(())
    })
}

/// How a signal stops the service.
enum Stop {
    Drain,
    AtOnce,
}

/// The signals that stop the service.
struct Signals {
    terminate: Signal,
    /// `None` if the process was started with SIGHUP ignored, as `nohup` does.
    hangup: Option<Signal>,
    interrupt: Signal,
    quit: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hangup: (!ignores_hangup()).then(|| signal(SignalKind::hangup())).transpose()?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    async fn next(&mut self) -> Stop {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Stop::Drain,
            _ = hangup => Stop::Drain,
            _ = self.interrupt.recv() => Stop::AtOnce,
            _ = self.quit.recv() => Stop::AtOnce,
        }
    }
}

/// A handler would end what `nohup` keeps running. Asking the system needs unsafe code; Linux also lists the ignored signals in
/// a file.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & (1 << (SignalKind::hangup().as_raw_value() - 1)) != 0)
}

/// The example password is random, because some users will keep it.
fn print_first_steps(config: &Config) -> Result<(), Failure> {
    let password: [u8; 12] = random().map_err(|_| "the operating system provides no random bytes")?;
    let password = URL_SAFE_NO_PAD.encode(password);
    let url = config.public_url();
    let url = url.as_str();
    let printed = print(format_args!(
        "Keyward is at {url}\n\
         Swagger UI:   {url}/docs/\n\
         Sign up:      curl -i {url}/auth/register -H 'Content-Type: application/json' \
         -d '{{\"email\":\"you@example.com\",\"password\":\"{password}\"}}'\n"
    ));
    if let Err(failure) = printed {
        // Standard output is closed, which is no reason not to serve.
        tracing::debug!("{failure}");
    }
    Ok(())
}
