//! Collects metrics and serves them for Prometheus, on a listener of its own.

use actix_web::{App, HttpResponse, HttpServer, web};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::refusals;

/// Upper bounds of the histogram of request durations, in seconds.
const DURATION_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

const UPKEEP_INTERVAL: std::time::Duration = std::time::Duration::from_secs(5);

/// Installs the recorder of the process; fails if it has one already.
pub fn install_recorder() -> Result<PrometheusHandle, String> {
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(
            Matcher::Full("keyward_http_request_duration_seconds".to_owned()),
            &DURATION_BUCKETS,
        )
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| error.to_string())?;
    refusals::register();
    Ok(metrics)
}

/// Serves `GET /metrics`. `update_gauges` runs before each response.
pub fn serve(
    listener: std::net::TcpListener,
    metrics: PrometheusHandle,
    update_gauges: impl Fn() + Clone + Send + 'static,
) -> std::io::Result<actix_web::dev::Server> {
    let get_metrics = move |metrics: web::Data<PrometheusHandle>| {
        update_gauges();
        async move {
            metrics.run_upkeep();
            HttpResponse::Ok()
                .content_type("text/plain; version=0.0.4; charset=utf-8")
                .body(metrics.render())
        }
    };
    let metrics = web::Data::new(metrics);
    // Measurements are queued until upkeep adds them to their histograms. Without this the queue would grow for as long as
    // `/metrics` is not read.
    let upkeep = metrics.clone();
    actix_web::rt::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            upkeep.run_upkeep();
        }
    });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(metrics.clone())
            .route("/metrics", web::get().to(get_metrics.clone()))
    })
    .workers(1)
    // They are part of the files that `app/listener.rs` reserves.
    .max_connections(32)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}
