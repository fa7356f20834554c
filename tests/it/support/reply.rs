//! Requests and responses.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// A request; awaiting it sends it.
pub struct Call(reqwest::RequestBuilder);

impl Call {
    pub fn new(builder: reqwest::RequestBuilder) -> Self {
        Self(builder)
    }

    pub fn bearer(self, credential: &str) -> Self {
        Self(self.0.bearer_auth(credential))
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    /// Sets a body and its media type.
    pub fn body(self, media_type: &str, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.header("content-type", media_type).body(body))
    }

    /// The request, for a client that sends it in its own way.
    pub fn build(self) -> reqwest::Request {
        self.0.build().unwrap()
    }

    pub async fn send(self) -> Reply {
        let response = self.0.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.unwrap().to_vec();
        let reply = Reply { status, headers, bytes };
        reply.check_envelope();
        reply
    }
}

impl IntoFuture for Call {
    type Output = Reply;
    type IntoFuture = std::pin::Pin<Box<dyn Future<Output = Reply> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// A response.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Reply {
    /// Checks what every response must have.
    fn check_envelope(&self) {
        let id = self.header("x-request-id").expect("every response has a request id");
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        if self.status >= 400 && !self.bytes.is_empty() {
            assert_eq!(
                self.header("content-type"),
                Some("application/problem+json"),
                "{}",
                self.text()
            );
            let body = self.json();
            assert_eq!(body["status"], self.status);
            assert_eq!(body["request_id"], id);
            assert!(
                body["type"]
                    .as_str()
                    .unwrap()
                    .ends_with(&format!("/problems/{}", body["code"].as_str().unwrap()))
            );
            assert_eq!(body.get("errors").is_some(), body["code"] == "validation_error");
        }
        if self.status == 401 {
            assert!(self.header("www-authenticate").unwrap().starts_with("Bearer "));
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("not JSON: {} {}", self.status, self.text()))
    }

    /// Asserts the status and returns the body; null without one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.bytes.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// Asserts the status.
    #[track_caller]
    pub fn expect_status(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.text());
    }

    /// Asserts that the response is a problem with this status and code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.json()["code"], code, "{}", self.text());
    }

    /// Asserts a `validation_error` with exactly these locations and codes, in any order.
    #[track_caller]
    pub fn invalid(&self, expected: &[(&str, &str)]) {
        self.refused(422, "validation_error");
        let body = self.json();
        let mut found: Vec<(String, String)> = body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| {
                let location = error
                    .get("pointer")
                    .or_else(|| error.get("parameter"))
                    .unwrap()
                    .as_str()
                    .unwrap();
                (location.to_owned(), error["code"].as_str().unwrap().to_owned())
            })
            .collect();
        let mut expected: Vec<(String, String)> = expected
            .iter()
            .map(|(location, code)| ((*location).to_owned(), (*code).to_owned()))
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }

    /// The body without the request id, to compare problems byte by byte.
    pub fn without_request_id(&self) -> String {
        let id = self.header("x-request-id").unwrap();
        self.text().replace(id, "")
    }
}

/// A body for a snapshot: `[id]`, `[timestamp]` and the like in place of what differs from run to run.
pub fn redacted(body: Value) -> Value {
    match body {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| {
                let value = match (name.as_str(), value) {
                    ("secret" | "access_token" | "refresh_token" | "hint" | "request_id", Value::String(_)) => {
                        Value::String(format!("[{name}]"))
                    }
                    (_, value) => redacted(value),
                };
                (name, value)
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(redacted).collect(),
        Value::String(text) if chrono::DateTime::parse_from_rfc3339(&text).is_ok() => "[timestamp]".into(),
        Value::String(text) => {
            let is_id = |segment: &&str| uuid::Uuid::parse_str(segment).is_ok();
            let segments = text
                .split('/')
                .map(|segment| if is_id(&segment) { "[id]" } else { segment });
            segments.collect::<Vec<_>>().join("/").into()
        }
        other => other,
    }
}
