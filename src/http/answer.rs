//! The answer of an act: status, body, and the few headers an act can set.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Config;
use crate::error::Error;

/// An answer as data, so that it can be remembered (see [`Idempotent`](super::Idempotent)).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Value>,
    #[serde(skip)]
    pub(super) secret: Option<&'static str>,
}

impl Answer {
    /// 204, no body.
    pub const fn no_content() -> Self {
        Self {
            status: 204,
            headers: Vec::new(),
            body: None,
            secret: None,
        }
    }

    /// A body under the given status.
    ///
    /// # Errors
    /// `internal_error` when it cannot be written as JSON, which no response type can cause.
    pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_value(body).map_err(Error::internal)?;
        Ok(Self {
            status: status.as_u16(),
            headers: Vec::new(),
            body: Some(body),
            secret: None,
        })
    }

    /// 200 with a body.
    ///
    /// # Errors
    /// As [`Answer::json`].
    pub fn ok(body: &impl Serialize) -> Result<Self, Error> {
        Self::json(StatusCode::OK, body)
    }

    /// 201 with a body and where it can be read again: a path, below the public URL.
    ///
    /// # Errors
    /// As [`Answer::json`].
    pub fn created(config: &Config, path: &str, body: &impl Serialize) -> Result<Self, Error> {
        let location = format!("{}{path}", config.public_url().as_str());
        Ok(Self::json(StatusCode::CREATED, body)?.header(header::LOCATION, location))
    }

    /// 202 with a body.
    ///
    /// # Errors
    /// As [`Answer::json`].
    pub fn accepted(body: &impl Serialize) -> Result<Self, Error> {
        Self::json(StatusCode::ACCEPTED, body)
    }

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name.as_str().to_owned(), value.into()));
        self
    }

    /// Sets the entity tag.
    #[must_use]
    pub fn etag(self, version: i64) -> Self {
        self.header(header::ETAG, super::etag(version))
    }

    /// Names the member that is a secret: a repeated answer has `null` in its place.
    #[must_use]
    pub const fn secret(mut self, member: &'static str) -> Self {
        self.secret = Some(member);
        self
    }

    /// What may be stored of it.
    pub(super) fn without_secret(&self) -> Self {
        let mut answer = self.clone();
        if let (Some(member), Some(Value::Object(members))) = (self.secret, &mut answer.body) {
            members.insert(member.to_owned(), Value::Null);
        }
        answer
    }
}

impl From<Answer> for HttpResponse {
    fn from(answer: Answer) -> Self {
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Self::build(status);
        for (name, value) in answer.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.insert_header((name, value));
            }
        }
        match answer.body {
            Some(body) => response.json(body),
            None => response.finish(),
        }
    }
}

impl actix_web::Responder for Answer {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &actix_web::HttpRequest) -> HttpResponse {
        self.into()
    }
}
