//! Floods of connections that send or read slowly. A connection that the service closes is opened again.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(200);

/// Opens connections until the deadline; `step` is called on each until it fails.
fn reconnect(port: u16, until: Instant, mut step: impl FnMut(&mut TcpStream) -> std::io::Result<()>) {
    while Instant::now() < until {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
            std::thread::sleep(INTERVAL);
            continue;
        };
        // Also the pace at which bytes are sent.
        stream.set_read_timeout(Some(INTERVAL)).unwrap();
        stream.set_write_timeout(Some(INTERVAL)).unwrap();
        while Instant::now() < until && step(&mut stream).is_ok() {}
    }
}

/// Waits until the next byte is due, or fails if the service has closed the connection.
fn wait(stream: &mut TcpStream) -> std::io::Result<()> {
    match stream.read(&mut [0]) {
        Ok(0) => Err(std::io::ErrorKind::UnexpectedEof.into()),
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => Ok(()),
        Err(error) => Err(error),
    }
}

pub fn idle(port: u16, until: Instant) {
    reconnect(port, until, wait);
}

pub fn slow_head(port: u16, until: Instant) {
    reconnect(port, until, |stream| {
        stream.write_all(b"G")?;
        wait(stream)
    });
}

pub fn slow_body(port: u16, until: Instant) {
    let head =
        b"POST /password/check HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n\r\n";
    let mut has_head = false;
    reconnect(port, until, |stream| {
        let part: &[u8] = if has_head { b" " } else { head };
        has_head = stream.write_all(part).is_ok();
        let waited = wait(stream);
        has_head &= waited.is_ok();
        waited
    });
}

/// Pipelines requests for the largest response, and reads nothing.
pub fn slow_reader(port: u16, until: Instant) {
    let requests = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    reconnect(port, until, |stream| match stream.write_all(&requests) {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => Ok(()),
        written => written,
    });
}
