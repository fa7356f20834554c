//! A request that is authenticated long before its body arrives.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::{Call, TestApp};

const TIMEOUT: Duration = Duration::from_mins(1);

/// A request whose head was sent and whose body was not.
pub struct HeldRequest {
    stream: TcpStream,
    body: Vec<u8>,
}

impl HeldRequest {
    /// Sends the head of a request, and waits until the service asks for the body. If the credential is in the cache, the
    /// service has authenticated the request by then.
    pub fn begin(app: &TestApp, call: Call) -> Self {
        let request = call.build();
        let headers = request.headers().iter();
        let headers: String = headers
            .map(|(name, value)| [name.as_str(), ": ", value.to_str().unwrap(), "\r\n"].concat())
            .collect();
        // Chunked, so that an empty body can be held back as well.
        let head = format!(
            "{} {} HTTP/1.1\r\nHost: keyward.test\r\n{headers}Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\
             Connection: close\r\n\r\n",
            request.method(),
            path(&request)
        );
        let mut stream = TcpStream::connect(app.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let expected = b"HTTP/1.1 100 Continue\r\n\r\n";
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, expected, "{}", String::from_utf8_lossy(&answer));
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
        Self {
            stream,
            body: body.to_vec(),
        }
    }

    /// Sends the body, and returns the status of the response and the `code` of a problem.
    pub fn finish(mut self) -> (u16, String) {
        if !self.body.is_empty() {
            write!(self.stream, "{:x}\r\n", self.body.len()).unwrap();
            self.stream.write_all(&self.body).unwrap();
            self.stream.write_all(b"\r\n").unwrap();
        }
        self.stream.write_all(b"0\r\n\r\n").unwrap();
        let mut response = Vec::new();
        self.stream.read_to_end(&mut response).unwrap();
        let response = String::from_utf8_lossy(&response);
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, code_of(body))
    }
}

fn path(request: &reqwest::Request) -> String {
    let url = request.url();
    url.query()
        .map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
}

/// The `code` of a problem; empty for another body.
pub fn code_of(body: &str) -> String {
    let problem: Value = serde_json::from_str(body).unwrap_or_default();
    problem["code"].as_str().unwrap_or_default().to_owned()
}
