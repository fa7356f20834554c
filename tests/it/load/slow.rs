//! Clients that send or read slowly.

use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::client::Client;
use crate::support::TestApp;

/// Sends pipelined requests and reads nothing, until the service takes no more. Returns how much it took.
fn pipeline(address: SocketAddr, path: &str) -> (Client, usize) {
    let mut client = Client::connect(address);
    client.0.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let requests = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").repeat(1000);
    let mut sent = 0;
    loop {
        match client.0.write(requests.as_bytes()) {
            Ok(bytes) => sent += bytes,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return (client, sent),
            Err(error) => panic!("{error}"),
        }
        assert!(sent < 64 * 1024 * 1024, "the service reads on");
    }
}

#[test]
fn a_client_that_reads_nothing_is_not_read_from_and_is_closed() {
    let app = TestApp::start();
    let started = Instant::now();
    let clients = ["/openapi.json", "/livez", "/nothing"].map(|path| pipeline(app.address, path));
    for (mut client, _) in clients {
        // The service closes the connection although its client has taken nothing.
        let reset = loop {
            match client.0.write(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n") {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => break error,
                Ok(_) => {}
            }
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "the connection is still open"
            );
        };
        assert!(
            matches!(reset.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
            "{reset}"
        );
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let app = TestApp::start();
    let mut client = Client::connect(app.address);
    let paths = ["/livez", "/nothing", "/openapi.json", "/password/policy"].repeat(100);
    for path in &paths {
        client.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"));
    }
    for path in paths {
        let (status, _, body) = client.response();
        assert_eq!(status, if path == "/nothing" { 404 } else { 200 }, "{path}");
        assert_eq!(body.contains("\"openapi\""), path == "/openapi.json", "{path}");
    }
}

#[test]
fn a_slow_head_after_the_first_request_ends_the_connection() {
    let app = TestApp::start();
    let mut client = Client::connect(app.address);
    assert_eq!(client.get("/livez"), 200);
    client.send("GET /livez HTTP/1.1\r\nho");
    let started = Instant::now();
    assert!(client.rest().is_empty());
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_slow_first_head_gets_408() {
    let app = TestApp::start();
    let mut client = Client::connect(app.address);
    client.send("GET /livez HTTP/1.1\r\nho");
    assert!(client.rest().starts_with(b"HTTP/1.1 408"));
}

#[test]
fn a_large_body_is_read_whole() {
    let app = TestApp::start();
    let mut client = Client::connect(app.address);
    let filler = " ".repeat(60_000);
    let body = format!("{{\"login\":\"ada\",{filler}\"password\":\"wrong password\"}}");
    for transfer in ["content-length", "transfer-encoding"] {
        let (header, body) = if transfer == "content-length" {
            (body.len().to_string(), body.clone())
        } else {
            ("chunked".to_owned(), format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()))
        };
        client.send(&format!(
            "POST /auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{transfer}: {header}\r\n\r\n{body}"
        ));
        assert_eq!(client.response().0, 401, "{transfer}");
    }
}
