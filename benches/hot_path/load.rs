//! The load generator: keep-alive connections that send prepared requests, each after the response to the previous one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Requests that are sent to one address in turn.
#[derive(Clone)]
pub struct Load {
    pub address: SocketAddr,
    pub requests: Arc<Vec<Vec<u8>>>,
    /// Index of the request with which the next run starts.
    pub position: usize,
    pub connections: usize,
    /// The status that every response must have.
    pub expected_status: u16,
}

#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub per_second: f64,
    pub p99_millis: f64,
}

impl Load {
    pub fn new(address: SocketAddr, requests: Vec<Vec<u8>>, expected_status: u16) -> Self {
        Self {
            address,
            requests: Arc::new(requests),
            position: 0,
            connections: 32,
            expected_status,
        }
    }

    /// Sends requests for `duration`. Panics on any other than the expected status.
    pub fn run(&mut self, duration: Duration) -> Figures {
        let (threads, load) = (2, self.clone());
        let started = Instant::now();
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let load = load.clone();
                std::thread::spawn(move || load.run_connections(thread, threads, started + duration))
            })
            .collect();
        let mut latencies: Vec<u32> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
        let elapsed = started.elapsed().as_secs_f64();
        self.position += latencies.len();
        latencies.sort_unstable();
        let p99 = latencies.get(latencies.len() * 99 / 100).copied().unwrap_or_default();
        Figures {
            per_second: latencies.len() as f64 / elapsed,
            p99_millis: f64::from(p99) / 1000.0,
        }
    }

    fn run_connections(&self, thread: usize, threads: usize, deadline: Instant) -> Vec<u32> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let connections = (0..self.connections).filter(|connection| connection % threads == thread);
            let tasks: Vec<_> = connections
                .map(|connection| tokio::task::spawn_local(self.clone().send(connection, deadline)))
                .collect();
            let mut latencies = Vec::new();
            for task in tasks {
                latencies.extend(task.await.unwrap());
            }
            latencies
        })
    }

    async fn send(self, connection: usize, deadline: Instant) -> Vec<u32> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut latencies = Vec::with_capacity(1 << 16);
        let mut buffer = Vec::with_capacity(1 << 16);
        let mut next = self.position + connection;
        while Instant::now() < deadline {
            let request = &self.requests[next % self.requests.len()];
            next += self.connections;
            let sent = Instant::now();
            stream.write_all(request).await.unwrap();
            self.receive(&mut stream, &mut buffer).await;
            latencies.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        latencies
    }

    async fn receive(&self, stream: &mut TcpStream, buffer: &mut Vec<u8>) {
        buffer.clear();
        let mut expected_length = None;
        while expected_length.is_none_or(|length| buffer.len() < length) {
            let count = stream.read_buf(buffer).await.unwrap();
            assert!(count > 0, "the connection was closed");
            if expected_length.is_none()
                && let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n")
            {
                let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
                let status: u16 = head[9..12].parse().unwrap();
                assert_eq!(status, self.expected_status, "{}", String::from_utf8_lossy(buffer));
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .map_or(0, |length| length.trim().parse().unwrap());
                expected_length = Some(end + 4 + length);
            }
        }
    }
}

/// The bytes of a request.
pub fn request(method: &str, path: &str, credential: Option<&str>, body: Option<&str>) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: bench\r\n");
    if let Some(credential) = credential {
        text.push_str(&format!("authorization: Bearer {credential}\r\n"));
    }
    if let Some(body) = body {
        text.push_str(&format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        ));
    }
    text.push_str("\r\n");
    text.push_str(body.unwrap_or_default());
    text.into_bytes()
}
