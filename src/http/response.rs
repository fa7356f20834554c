//! Responses as plain data: status, body and a few headers.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;

use crate::config::Config;
use crate::error::Error;

/// Most bodies are shorter, so the buffer is allocated only once.
const INITIAL_CAPACITY: usize = 1024;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A response that can be stored for its `Idempotency-Key` (see [`Idempotent`](super::Idempotent)).
#[derive(Clone, Debug)]
pub struct ApiResponse {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, String)>,
    /// Serialised JSON.
    pub(super) body: Option<Vec<u8>>,
    /// The field that contains a secret, which is not stored.
    secret_field: Option<&'static str>,
}

impl ApiResponse {
    /// 204.
    pub const fn no_content() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            headers: Vec::new(),
            body: None,
            secret_field: None,
        }
    }

    pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, Error> {
        let mut written = Vec::with_capacity(INITIAL_CAPACITY);
        serde_json::to_writer(&mut written, body).map_err(Error::internal)?;
        Ok(Self {
            status,
            headers: Vec::new(),
            body: Some(written),
            secret_field: None,
        })
    }

    /// 200.
    pub fn ok(body: &impl Serialize) -> Result<Self, Error> {
        Self::json(StatusCode::OK, body)
    }

    /// 201; `Location` is `path` below the public URL.
    pub fn created(config: &Config, path: &str, body: &impl Serialize) -> Result<Self, Error> {
        let location = format!("{}{path}", config.public_url().as_str());
        Ok(Self::json(StatusCode::CREATED, body)?.header(header::LOCATION, location))
    }

    /// 202.
    pub fn accepted(body: &impl Serialize) -> Result<Self, Error> {
        Self::json(StatusCode::ACCEPTED, body)
    }

    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets `ETag`.
    #[must_use]
    pub fn etag(self, version: i64) -> Self {
        self.header(header::ETAG, crate::values::etag(version))
    }

    /// Marks the field that contains a secret: it is null in a replayed response.
    #[must_use]
    pub const fn secret(mut self, field: &'static str) -> Self {
        self.secret_field = Some(field);
        self
    }

    /// A response from the database.
    pub(super) fn from_stored(status: i16, headers: Value, body: Option<Value>) -> Result<Self, Error> {
        let headers: Vec<(String, String)> = serde_json::from_value(headers).map_err(Error::internal)?;
        let parse_name = |(name, value): (String, String)| Some((HeaderName::try_from(name).ok()?, value));
        let body = body.map(|body| serde_json::to_vec(&body)).transpose();
        let status = u16::try_from(status).map_err(Error::internal)?;
        Ok(Self {
            status: StatusCode::from_u16(status).map_err(Error::internal)?,
            headers: headers.into_iter().filter_map(parse_name).collect(),
            body: body.map_err(Error::internal)?,
            secret_field: None,
        })
    }

    /// Headers and body for the database, without the secret.
    pub(super) fn to_stored(&self) -> Result<(Value, Option<Value>), Error> {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let body = self.body.as_deref().map(serde_json::from_slice).transpose();
        let mut body: Option<Value> = body.map_err(Error::internal)?;
        if let (Some(field), Some(Value::Object(fields))) = (self.secret_field, &mut body) {
            fields.insert(field.to_owned(), Value::Null);
        }
        Ok((serde_json::to_value(headers).map_err(Error::internal)?, body))
    }
}

impl From<ApiResponse> for HttpResponse {
    fn from(api_response: ApiResponse) -> Self {
        let mut response = Self::build(api_response.status);
        for (name, value) in api_response.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.insert_header((name, value));
            }
        }
        match api_response.body {
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
