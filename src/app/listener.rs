//! Accepts the connections to the API, within the limits of [`Connections`].
//!
//! This is `HttpServer` of actix-web with another stream: `HttpServer` itself cannot wrap its connections.

use std::fmt::Write as _;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol, Request};
use actix_server::{Server, ServerBuilder};
use actix_service::{IntoServiceFactory, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{AppConfig, Response, Service, ServiceFactory, ServiceResponse};
use actix_web::rt::net::TcpStream;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{RcvBuf, SndBuf};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::Config;
use crate::http::{Connections, LimitedStream, ProblemRenderer, Refusal, SWEEP_INTERVAL};
use crate::observability::refusals::Refused;
use crate::values::RequestId;

/// Maximum time until the head of the first request has arrived.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// An idle connection is closed after this time.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a client may take to notice that its connection is closed.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum time for requests in progress when the service stops.
const SHUTDOWN_TIMEOUT_SECONDS: u64 = 30;
/// How much of a response is buffered for a connection before it is written.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// What the system buffers for a client that does not read; by default up to 4 MB. At a round-trip time of 100 ms a
/// download still runs at 1.3 MB/s. The same for what the client sends while its requests are not read.
const SOCKET_BUFFER_BYTES: usize = 64 * 1024;
/// How many refused connections may be open until their clients have read the refusal.
const MAX_REFUSED: usize = 64;
/// How often a new connection looks again for the place of one that is being closed.
const ADMISSION_RETRIES: usize = 16;
/// Files that are not connections to the API or the database: data files, mail, the listener for metrics and what the
/// threads of the runtime use.
const OTHER_FILES: u64 = 96;
const FILES_PER_WORKER: u64 = 8;
const MIN_CONNECTIONS: usize = 16;

/// Decides on each new connection.
#[derive(Clone)]
pub(super) struct Admitter {
    connections: Arc<Connections>,
    problems: ProblemRenderer,
    refused: Arc<Semaphore>,
}

impl Admitter {
    pub fn new(config: &Config, problems: ProblemRenderer, workers: usize) -> Self {
        let maximum = max_connections(config, workers);
        let proxies = config.trusted_proxies.clone();
        Self {
            connections: Connections::new(maximum, config.rate_limits_enabled(), proxies),
            problems,
            refused: Arc::new(Semaphore::new(MAX_REFUSED)),
        }
    }

    async fn admit(
        self,
        stream: TcpStream,
    ) -> Result<(LimitedStream, Protocol, Option<std::net::SocketAddr>), DispatchError> {
        // A client that is gone already has no address.
        let peer = stream.peer_addr()?;
        // Small responses must not wait for more to send.
        stream.set_nodelay(true)?;
        let mut admitted = self.connections.admit(peer.ip());
        for _ in 0..ADMISSION_RETRIES {
            if !matches!(admitted, Err(Refusal::Full)) {
                break;
            }
            // Lets the tasks run whose connections are closing.
            tokio::task::yield_now().await;
            admitted = self.connections.admit(peer.ip());
        }
        match admitted {
            Ok(admission) => Ok((LimitedStream::new(stream, admission), Protocol::Http1, Some(peer))),
            Err(refusal) => {
                self.refuse(stream, peer.ip(), refusal).await;
                Err(DispatchError::DisconnectTimeout)
            }
        }
    }

    /// Sends 503 or 429. Then reads what the client sends, because the system would drop the response if the connection was
    /// closed with something unread.
    async fn refuse(&self, mut stream: TcpStream, peer: IpAddr, refusal: Refusal) {
        Refused::ByConnectionLimit.count();
        let Ok(_permit) = self.refused.try_acquire() else {
            return;
        };
        tracing::info!(%peer, ?refusal, "refused a connection");
        let response = self.problems.render(&refusal.to_error(), &RequestId::generate());
        let mut head = format!("HTTP/1.1 {}\r\nconnection: close\r\n", response.status());
        for (name, value) in response.headers() {
            let _ = write!(head, "{name}: {}\r\n", value.to_str().unwrap_or_default());
        }
        let body = response.into_body().try_into_bytes().unwrap_or_default();
        let _ = write!(head, "content-length: {}\r\n\r\n", body.len());
        let bytes = [head.as_bytes(), &body].concat();
        let exchange = async {
            stream.write_all(&bytes).await?;
            stream.shutdown().await?;
            let mut unread = [0; 1024];
            while stream.read(&mut unread).await? > 0 {}
            Ok::<_, std::io::Error>(())
        };
        // A client that breaks the connection has no need of the response.
        let _ = timeout(DISCONNECT_TIMEOUT, exchange).await;
    }
}

/// The setting, or what the limit of open files leaves for connections.
fn max_connections(config: &Config, workers: usize) -> usize {
    let configured = usize::try_from(config.max_connections).unwrap_or(usize::MAX);
    let Ok((files, _)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return configured;
    };
    let workers = u64::try_from(workers).unwrap_or(u64::MAX);
    let reserved = OTHER_FILES
        .saturating_add(u64::from(config.db_pool_size))
        .saturating_add(workers.saturating_mul(FILES_PER_WORKER));
    let available = usize::try_from(files.saturating_sub(reserved)).unwrap_or(usize::MAX);
    let maximum = configured.min(available.saturating_sub(MAX_REFUSED).max(MIN_CONNECTIONS));
    if maximum < configured {
        tracing::warn!(
            files,
            maximum,
            "the limit of open files (ulimit -n) allows fewer connections than KEYWARD_MAX_CONNECTIONS"
        );
    }
    maximum
}

pub(super) fn serve<I, S, B>(
    listener: TcpListener,
    workers: usize,
    admitter: Admitter,
    app: impl Fn() -> I + Send + Clone + 'static,
) -> std::io::Result<Server>
where
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    S::InitError: std::fmt::Debug,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    // Accepted connections inherit the sizes.
    setsockopt(&listener, SndBuf, &SOCKET_BUFFER_BYTES)?;
    setsockopt(&listener, RcvBuf, &SOCKET_BUFFER_BYTES)?;
    let address = listener.local_addr()?;
    let builder = ServerBuilder::default();
    let shutdown = builder.graceful_shutdown_signal();
    let connections = Arc::clone(&admitter.connections);
    actix_web::rt::spawn(async move {
        let mut interval = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            interval.tick().await;
            connections.sweep(Instant::now());
        }
    });
    let services = move || {
        let (admitter, shutdown) = (admitter.clone(), shutdown.clone());
        let app = app()
            .into_factory()
            .map_err(|error: actix_web::Error| Response::<BoxBody>::from(error.error_response()));
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let shutdown = shutdown.clone();
                async move { shutdown.notified().await }
            })
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .h1_write_buffer_size(WRITE_BUFFER_BYTES)
            .local_addr(address)
            .on_connect_ext(|stream: &LimitedStream, data| {
                data.insert(Arc::clone(stream.connection()));
            })
            .finish(map_config(app, |()| AppConfig::default()));
        fn_service(move |stream: TcpStream| admitter.clone().admit(stream)).and_then(http)
    };
    let server = builder
        .workers(workers)
        .shutdown_timeout(SHUTDOWN_TIMEOUT_SECONDS)
        .disable_signals()
        .listen("api", listener, services)?;
    Ok(server.run())
}
