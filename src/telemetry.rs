//! Logs and metrics.

use std::io::IsTerminal as _;

use actix_web::{App, HttpResponse, HttpServer, web};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Config, LogFormat};

/// Upper bounds of the histogram of request durations, in seconds.
const DURATION_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// How often measurements are folded into their histograms.
const UPKEEP_INTERVAL: std::time::Duration = std::time::Duration::from_secs(5);

/// Sends log lines to standard error: for people on a terminal, JSON otherwise. A panic becomes a log line like any other.
///
/// # Errors
/// The filter cannot be read; one line that names the setting.
pub fn log(config: &Config) -> Result<(), String> {
    // What strangers send that is not HTTP is no error of ours.
    let directives = format!("actix_http=off,{}", config.log);
    let filter: Targets = directives.parse().map_err(|error| format!("KEYWARD_LOG: {error}"))?;
    let pretty = match config.log_format {
        LogFormat::Pretty => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    if pretty {
        registry.with(lines.with_target(false)).init();
    } else {
        let lines = lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false);
        registry.with(lines).init();
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        // Only messages written in the source are logged: others may carry what a client sent.
        let message = panic
            .payload()
            .downcast_ref::<&str>()
            .copied()
            .unwrap_or("(not a fixed message)");
        tracing::error!(place, message, "panicked");
    }));
    Ok(())
}

/// Gathers metrics from now on.
///
/// # Errors
/// When they are gathered already.
pub fn gather() -> Result<PrometheusHandle, String> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(
            Matcher::Full("keyward_http_request_duration_seconds".to_owned()),
            &DURATION_BUCKETS,
        )
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| error.to_string())
}

/// Shows metrics at `/metrics`, on a listener apart from the API.
///
/// # Errors
/// The listener cannot be used.
pub fn serve(listener: std::net::TcpListener, metrics: PrometheusHandle) -> std::io::Result<actix_web::dev::Server> {
    let shown = |metrics: web::Data<PrometheusHandle>| async move {
        metrics.run_upkeep();
        HttpResponse::Ok()
            .content_type("text/plain; version=0.0.4; charset=utf-8")
            .body(metrics.render())
    };
    let metrics = web::Data::new(metrics);
    // What was measured is folded into its histogram now and then: nobody may ever come to look.
    let kept = metrics.clone();
    actix_web::rt::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            kept.run_upkeep();
        }
    });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(metrics.clone())
            .route("/metrics", web::get().to(shown))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}
