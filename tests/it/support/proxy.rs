//! A TCP proxy in front of the database that can stop to respond.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// Ends with the test program.
pub struct Proxy {
    /// The URL of the database through the proxy.
    pub url: SecretString,
    state: Arc<AtomicU64>,
}

/// Where the server listens.
#[derive(Clone)]
enum Upstream {
    Unix(String),
    Tcp(String),
}

impl Proxy {
    /// Odd states are silent ones. Connections of an earlier state get no response any more, even when it is over.
    pub fn start(database: &SecretString) -> Self {
        let mut url = Url::parse(database.expose_secret()).unwrap();
        let host = percent_decode_str(url.host_str().unwrap())
            .decode_utf8()
            .unwrap()
            .into_owned();
        let port = url.port().unwrap_or(5432);
        let upstream = if host.starts_with('/') {
            Upstream::Unix(format!("{host}/.s.PGSQL.{port}"))
        } else {
            Upstream::Tcp(format!("{host}:{port}"))
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(address.port())).unwrap();
        // At the exit of the test program, OpenSSL frees what a thread that is still connecting would use.
        url.query_pairs_mut().append_pair("sslmode", "disable");
        let state = Arc::new(AtomicU64::new(0));
        let accepted_state = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                forward(client.unwrap(), &upstream, &accepted_state);
            }
        });
        Self {
            url: SecretString::from(String::from(url)),
            state,
        }
    }

    /// From now on connections are accepted, and nothing that they send is forwarded.
    pub fn silence(&self) {
        assert_eq!(self.state.fetch_add(1, Ordering::SeqCst) % 2, 0);
    }

    /// New connections work again; those from before stay silent.
    pub fn respond(&self) {
        assert_eq!(self.state.fetch_add(1, Ordering::SeqCst) % 2, 1);
    }
}

fn forward(client: TcpStream, upstream: &Upstream, state: &Arc<AtomicU64>) {
    let (reader, writer) = (client.try_clone().unwrap(), client);
    match upstream {
        Upstream::Unix(path) => {
            // The server may be stopped at the end of the test program.
            let Ok(server) = UnixStream::connect(path) else { return };
            let server_reader = server.try_clone().unwrap();
            copy(reader, server, state);
            copy(server_reader, writer, state);
        }
        Upstream::Tcp(address) => {
            let Ok(server) = TcpStream::connect(address) else {
                return;
            };
            let server_reader = server.try_clone().unwrap();
            copy(reader, server, state);
            copy(server_reader, writer, state);
        }
    }
}

/// Copies on a thread, as long as the state is the one at the start. Afterwards it reads on and drops everything.
fn copy(mut from: impl Read + Send + 'static, mut to: impl Write + Send + 'static, state: &Arc<AtomicU64>) {
    let state = Arc::clone(state);
    let own_state = state.load(Ordering::SeqCst);
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length) = from.read(&mut buffer) {
            let is_forwarded = own_state.is_multiple_of(2) && state.load(Ordering::SeqCst) == own_state;
            // The connection of a silent proxy stays open until its client closes it.
            if length == 0 || (is_forwarded && to.write_all(&buffer[..length]).is_err()) {
                return;
            }
        }
    });
}
