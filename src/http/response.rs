//! The answer of an act: status, body, and the few headers an act can set.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;

use crate::config::Config;
use crate::error::Error;

/// Room for most bodies.
const USUAL_BYTES: usize = 1024;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer as data, so that it can be remembered (see [`Idempotent`](super::Idempotent)).
#[derive(Clone, Debug)]
pub struct ApiResponse {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, String)>,
    /// JSON, written already: most answers are sent and never looked at again.
    pub(super) body: Option<Vec<u8>>,
    secret: Option<&'static str>,
}

impl ApiResponse {
    /// 204, no body.
    pub const fn no_content() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
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
        let mut written = Vec::with_capacity(USUAL_BYTES);
        serde_json::to_writer(&mut written, body).map_err(Error::internal)?;
        Ok(Self {
            status,
            headers: Vec::new(),
            body: Some(written),
            secret: None,
        })
    }

    /// 200 with a body.
    ///
    /// # Errors
    /// As [`ApiResponse::json`].
    pub fn ok(body: &impl Serialize) -> Result<Self, Error> {
        Self::json(StatusCode::OK, body)
    }

    /// 201 with a body and where it can be read again: a path, below the public URL.
    ///
    /// # Errors
    /// As [`ApiResponse::json`].
    pub fn created(config: &Config, path: &str, body: &impl Serialize) -> Result<Self, Error> {
        let location = format!("{}{path}", config.public_url().as_str());
        Ok(Self::json(StatusCode::CREATED, body)?.header(header::LOCATION, location))
    }

    /// 202 with a body.
    ///
    /// # Errors
    /// As [`ApiResponse::json`].
    pub fn accepted(body: &impl Serialize) -> Result<Self, Error> {
        Self::json(StatusCode::ACCEPTED, body)
    }

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets the entity tag.
    #[must_use]
    pub fn etag(self, version: i64) -> Self {
        self.header(header::ETAG, crate::values::etag(version))
    }

    /// Names the member that is a secret: a repeated answer has `null` in its place.
    #[must_use]
    pub const fn secret(mut self, member: &'static str) -> Self {
        self.secret = Some(member);
        self
    }

    /// One that was remembered.
    pub(super) fn remembered(status: i16, headers: Value, body: Option<Value>) -> Result<Self, Error> {
        let headers: Vec<(String, String)> = serde_json::from_value(headers).map_err(Error::internal)?;
        let named = |(name, value): (String, String)| Some((HeaderName::try_from(name).ok()?, value));
        let body = body.map(|body| serde_json::to_vec(&body)).transpose();
        let status = u16::try_from(status).map_err(Error::internal)?;
        Ok(Self {
            status: StatusCode::from_u16(status).map_err(Error::internal)?,
            headers: headers.into_iter().filter_map(named).collect(),
            body: body.map_err(Error::internal)?,
            secret: None,
        })
    }

    /// Its headers and body as they may be stored: without the secret.
    pub(super) fn to_remember(&self) -> Result<(Value, Option<Value>), Error> {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let body = self.body.as_deref().map(serde_json::from_slice).transpose();
        let mut body: Option<Value> = body.map_err(Error::internal)?;
        if let (Some(member), Some(Value::Object(members))) = (self.secret, &mut body) {
            members.insert(member.to_owned(), Value::Null);
        }
        Ok((serde_json::to_value(headers).map_err(Error::internal)?, body))
    }
}

impl From<ApiResponse> for HttpResponse {
    fn from(answer: ApiResponse) -> Self {
        let mut response = Self::build(answer.status);
        for (name, value) in answer.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.insert_header((name, value));
            }
        }
        match answer.body {
            Some(body) => response.insert_header((header::CONTENT_TYPE, JSON)).body(body),
            None => response.finish(),
        }
    }
}

impl actix_web::Responder for ApiResponse {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &actix_web::HttpRequest) -> HttpResponse {
        self.into()
    }
}
