//! `keyward serve`.

use std::net::TcpListener;
use std::time::Duration;

use crate::app::{self, worker};
use crate::config::{Config, DEFAULT_ADMIN_BIND};
use crate::notifications::email::Mailer;
use crate::observability::metrics as telemetry;
use crate::secret::random;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, Place, bind, one_line};

/// The API's listener, and that of the metrics.
pub struct Listeners {
    api: TcpListener,
    admin: Option<TcpListener>,
}

/// Takes the ports.
pub fn listen(config: &Config) -> Result<Listeners, Failure> {
    let api = bind("KEYWARD_BIND", config.bind)?;
    let admin = match config.admin_bind {
        Some(address) => Some(bind("KEYWARD_ADMIN_BIND", address)?),
        // Nobody asked for this one: a second instance on the machine does without.
        None => bind("KEYWARD_ADMIN_BIND", DEFAULT_ADMIN_BIND)
            .inspect_err(|failure| tracing::warn!(%failure, "no metrics are served; set it to another address"))
            .ok(),
    };
    Ok(Listeners { api, admin })
}

/// Serves until it is told to stop.
pub fn run(place: &Place, listeners: Listeners) -> Result<(), Failure> {
    let metrics = telemetry::gather()?;
    let material = place.material()?;
    let state = place.state(material)?;
    let mailer = Mailer::new(&state, &place.data_dir).map_err(one_line)?;
    let database_url = place.database_url.clone();
    actix_web::rt::System::new().block_on(async move {
        let drain = Duration::from_secs(state.config.drain_seconds.into());
        let running = app::start(listeners.api, state.clone()).map_err(one_line)?;
        actix_web::rt::spawn(running.server);
        if let Some(admin) = listeners.admin {
            actix_web::rt::spawn(telemetry::serve(admin, metrics).map_err(one_line)?);
        }
        let background = worker::spawn(state.clone(), database_url, mailer);
        greet(&state.config)?;
        let mut terminated = signal(SignalKind::terminate()).map_err(one_line)?;
        let mut interrupted = signal(SignalKind::interrupt()).map_err(one_line)?;
        // Who presses Ctrl-C stands in front of it and waits; a proxy must be given time to notice.
        let drain = tokio::select! {
            _ = terminated.recv() => drain,
            _ = interrupted.recv() => Duration::ZERO,
        };
        tracing::info!("stopping");
        app::stop(&state, running.handle, drain).await;
        background.stop().await;
        Ok(())
    })
}

/// Tells whoever started it what to try first; the password is another each time, for it may be kept.
fn greet(config: &Config) -> Result<(), Failure> {
    let password: [u8; 12] = random().map_err(|_| "the system has no randomness to give")?;
    let password = URL_SAFE_NO_PAD.encode(password);
    let url = config.public_url();
    let url = url.as_str();
    println!("Keyward is at {url}");
    println!("Swagger UI:   {url}/docs/");
    println!(
        "Sign up:      curl -i {url}/auth/register -H 'Content-Type: application/json' \
         -d '{{\"email\":\"you@example.com\",\"password\":\"{password}\"}}'"
    );
    Ok(())
}
