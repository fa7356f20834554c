//! A request in the making, and its answer.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// A request. Await it to send it.
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

    /// A body as it is, with a media type.
    pub fn body(self, media_type: &str, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.header("content-type", media_type).body(body))
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

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Reply {
    /// What every answer owes its client.
    fn check_envelope(&self) {
        let id = self.header("x-request-id").expect("every answer has a request id");
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

    /// Insists on a status, and gives the body (null where there is none).
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.bytes.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// Insists on a status, whatever the body.
    #[track_caller]
    pub fn expect_status(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.text());
    }

    /// Insists on a refusal.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.json()["code"], code, "{}", self.text());
    }

    /// Insists on a `validation_error`, with exactly these places and codes, in whatever order.
    #[track_caller]
    pub fn invalid(&self, expected: &[(&str, &str)]) {
        self.refused(422, "validation_error");
        let body = self.json();
        let mut found: Vec<(String, String)> = body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| {
                let place = error
                    .get("pointer")
                    .or_else(|| error.get("parameter"))
                    .unwrap()
                    .as_str()
                    .unwrap();
                (place.to_owned(), error["code"].as_str().unwrap().to_owned())
            })
            .collect();
        let mut expected: Vec<(String, String)> = expected
            .iter()
            .map(|(place, code)| ((*place).to_owned(), (*code).to_owned()))
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }

    /// The body without what differs from request to request, to compare refusals byte by byte.
    pub fn without_request_id(&self) -> String {
        let id = self.header("x-request-id").unwrap();
        self.text().replace(id, "")
    }
}
