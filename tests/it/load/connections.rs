//! The number of connections is bounded, and those that do nothing keep out none that wants something.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::client::Client;
use crate::support::{TestApp, free_address, wait_until};

/// A request whose body never arrives, and which therefore keeps its connection busy.
const UNFINISHED: &str = "POST /auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                          content-length: 100\r\n\r\n{";

fn app(rate_limits: &str, proxies: &str) -> TestApp {
    TestApp::start_with(&[
        ("KEYWARD_MAX_CONNECTIONS", "64"),
        ("KEYWARD_RATE_LIMITS", rate_limits),
        ("KEYWARD_TRUSTED_PROXIES", proxies),
    ])
}

#[test]
fn idle_connections_are_closed_for_new_ones() {
    let app = app("off", "");
    let mut idle: Vec<Client> = (0..300)
        .map(|_| {
            let mut client = Client::connect(app.address);
            assert_eq!(client.get("/livez"), 200);
            client
        })
        .collect();
    assert_eq!(Client::connect(app.address).get("/livez"), 200);
    assert!(idle[0].rest().is_empty());
    let last = idle.len() - 1;
    assert_eq!(idle[last].get("/livez"), 200);
}

#[test]
fn connections_that_never_send_anything_are_closed_for_new_ones() {
    let app = app("off", "");
    let mut silent: Vec<Client> = (0..300).map(|_| Client::connect(app.address)).collect();
    assert_eq!(Client::connect(app.address).get("/livez"), 200);
    assert!(silent[0].rest().is_empty());
}

#[test]
fn connections_with_a_request_are_never_closed_and_further_ones_get_503() {
    let app = app("off", "");
    let mut busy: Vec<Client> = (0..64)
        .map(|_| {
            let mut client = Client::connect(app.address);
            client.send(UNFINISHED);
            client
        })
        .collect();
    // Each of the 64 is either idle still, and may be closed, or has begun its request.
    let (status, head, body) = loop {
        let mut client = Client::connect(app.address);
        client.send("GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let response = client.response();
        if response.0 == 503 {
            break response;
        }
        busy.push(Client::connect(app.address));
        busy.last_mut().unwrap().send(UNFINISHED);
    };
    assert_eq!(status, 503);
    assert!(
        head.contains("retry-after: 1") && head.contains("connection: close"),
        "{head}"
    );
    assert!(body.contains("\"code\":\"unavailable\""), "{body}");
    let (status, ..) = {
        let client = busy.last_mut().unwrap();
        client.send(&" ".repeat(99));
        client.response()
    };
    assert_eq!(status, 400);
}

#[actix_web::test]
async fn a_network_holds_at_most_a_quarter_of_the_connections() {
    let app = app("on", "");
    let mut clients: Vec<Client> = (0..16)
        .map(|_| {
            let mut client = Client::connect(app.address);
            assert_eq!(client.get("/livez"), 200);
            client
        })
        .collect();
    let (status, head, body) = Client::connect(app.address).response();
    assert_eq!(status, 429);
    assert!(
        head.contains("retry-after: 1") && head.contains("ratelimit: "),
        "{head}"
    );
    assert!(body.contains("\"code\":\"rate_limited\""), "{body}");
    clients.pop();
    wait_until(Duration::from_secs(5), async || {
        let mut client = Client::connect(app.address);
        client.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n");
        client.response().0 == 200
    })
    .await;
}

#[test]
fn a_trusted_proxy_is_not_limited_as_a_network() {
    let app = app("on", "127.0.0.1");
    let clients: Vec<Client> = (0..40)
        .map(|_| {
            let mut client = Client::connect(app.address);
            assert_eq!(client.get("/livez"), 200);
            client
        })
        .collect();
    assert_eq!(clients.len(), 40);
}

/// A `keyward serve` process, killed on drop.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[actix_web::test]
async fn connections_beyond_the_limit_of_files_stop_neither_the_api_nor_the_metrics() {
    let app = TestApp::start();
    let [api, metrics] = [free_address(), free_address()];
    let serve = format!(
        "ulimit -Sn 128; ulimit -Hn 400; exec {} serve",
        env!("CARGO_BIN_EXE_keyward")
    );
    let process = Command::new("sh")
        .args(["-c", &serve])
        .env_clear()
        .env("DATABASE_URL", app.database().url.expose_secret())
        .env("KEYWARD_DATA_DIR", app.folder.path())
        .env("KEYWARD_BIND", api.to_string())
        .env("KEYWARD_ADMIN_BIND", metrics.to_string())
        .env("KEYWARD_RATE_LIMITS", "off")
        .env("KEYWARD_LOG", "off")
        .env("KEYWARD_WORKERS", "1")
        .current_dir(app.folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let process = Process(process);
    wait_until(Duration::from_secs(30), async || {
        std::net::TcpStream::connect(api).is_ok()
    })
    .await;
    let mut clients = Vec::new();
    for _ in 0..600 {
        clients.push(Client::connect(api));
    }
    for _ in 0..20 {
        assert_eq!(Client::connect(api).get("/readyz"), 200);
        let mut operator = Client::connect(metrics);
        operator.send("GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        assert!(operator.rest().starts_with(b"HTTP/1.1 200"));
    }
    // The soft limit was raised: more than 128 files are open.
    let files = std::fs::read_dir(format!("/proc/{}/fd", process.0.id()))
        .unwrap()
        .count();
    assert!((150..400).contains(&files), "{files} files");
}
