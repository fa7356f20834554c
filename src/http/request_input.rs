//! Query and body of a request, which a handler reads after it has checked the permissions of the caller.

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::json;
use crate::error::{Code, Error, FieldCode, Invalid};
use crate::request_type;
use crate::values::{Fields, FromFields};

/// The limit of a body in bytes, except for images.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// The media types of a merge patch (RFC 7396 §4).
const MERGE_PATCH: [&str; 2] = ["application/json", "application/merge-patch+json"];

/// Maximum time until a body has arrived; actix itself has no such limit.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The body, or the error of reading it, if [`Idempotent`](super::Idempotent) read it before the handler.
pub(super) struct ReadBody(pub Result<Bytes, Error>);

/// Query and body, not read yet. A handler calls exactly one of the methods, after it has checked the permissions: a caller
/// without them gets 403 or 404 and not 422. Every method rejects unknown parameters and fields.
pub struct RequestInput {
    request: HttpRequest,
    payload: Payload,
}

impl FromRequest for RequestInput {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready(Ok(Self {
            request: request.clone(),
            payload: payload.take(),
        }))
    }
}

request_type! {
    struct NoFields {}
}

impl RequestInput {
    /// For operations without parameters and body. `{}` is accepted as an empty body; the body of a GET is not read.
    ///
    /// # Errors
    /// `validation_error` for a parameter or a field; the errors of [`RequestInput::json`] for other bodies.
    pub async fn none(self) -> Result<(), Error> {
        if self.request.method() == Method::GET {
            return self.query::<NoFields>().map(|_| ());
        }
        self.optional_json::<NoFields>().await.map(|_| ())
    }

    /// The query; a body is not read.
    ///
    /// # Errors
    /// `validation_error`.
    pub fn query<T: FromFields>(&self) -> Result<T, Error> {
        Fields::from_query(self.request.query_string()).read()
    }

    /// A JSON object.
    ///
    /// # Errors
    /// In this order: `unsupported_media_type`, `payload_too_large`, `request_timeout`, `malformed_json`,
    /// `validation_error`.
    pub async fn json<T: FromFields>(self) -> Result<T, Error> {
        self.json_of(&["application/json"], false).await
    }

    /// The fields of a JSON object, for handlers with rules about several fields.
    ///
    /// # Errors
    /// As [`RequestInput::json`], except for `validation_error` about a field.
    pub async fn fields(self) -> Result<Fields, Error> {
        self.fields_of(&["application/json"], false).await
    }

    /// The fields of a merge patch, for handlers with rules about several fields.
    ///
    /// # Errors
    /// As [`RequestInput::fields`].
    pub async fn merge_patch_fields(self) -> Result<Fields, Error> {
        self.fields_of(&MERGE_PATCH, false).await
    }

    /// A JSON object, or no body, which is read as `{}`.
    ///
    /// # Errors
    /// As [`RequestInput::json`].
    pub async fn optional_json<T: FromFields>(self) -> Result<T, Error> {
        self.json_of(&["application/json"], true).await
    }

    /// A merge patch (RFC 7396).
    ///
    /// # Errors
    /// As [`RequestInput::json`].
    pub async fn merge_patch<T: FromFields>(self) -> Result<T, Error> {
        self.json_of(&MERGE_PATCH, false).await
    }

    /// A form (`application/x-www-form-urlencoded`).
    ///
    /// # Errors
    /// As [`RequestInput::json`], except for `malformed_json`; `malformed_request` for a body that is not UTF-8.
    pub async fn form<T: FromFields>(self) -> Result<T, Error> {
        check_media_type(self.request.headers(), &["application/x-www-form-urlencoded"])?;
        let request = self.request.clone();
        let body = self.read(MAX_BODY_BYTES).await?;
        let text = String::from_utf8(body.to_vec())
            .map_err(|_| Error::with_detail(Code::MalformedRequest, "Send the form in UTF-8."))?;
        let mut fields = Fields::from_query(&text);
        let parsed = T::from_fields(&mut fields);
        reject_query(&request, &mut fields);
        fields.finish(parsed)
    }

    /// The bytes of a body with one of the media types.
    ///
    /// # Errors
    /// `unsupported_media_type`, `payload_too_large`, `request_timeout`, `validation_error` for a query parameter.
    pub async fn bytes(self, media_types: &'static [&'static str], limit: usize) -> Result<Bytes, Error> {
        check_media_type(self.request.headers(), media_types)?;
        let request = self.request.clone();
        let body = self.read(limit).await?;
        let mut fields = Fields::from_json(BTreeMap::new());
        reject_query(&request, &mut fields);
        fields.finish(Some(body))
    }

    async fn json_of<T: FromFields>(self, media_types: &[&str], optional: bool) -> Result<T, Error> {
        self.fields_of(media_types, optional).await?.read()
    }

    async fn fields_of(self, media_types: &[&str], optional: bool) -> Result<Fields, Error> {
        let request = self.request.clone();
        let headers = request.headers();
        let media_type = check_media_type(headers, media_types);
        let mut body = match (media_type, optional) {
            (Ok(()), _) => self.read(MAX_BODY_BYTES).await?,
            (Err(error), false) => return Err(error),
            // Some clients name a media type for a body that they don't send.
            (Err(error), true) => match self.read(MAX_BODY_BYTES).await {
                Ok(body) if body.is_empty() => body,
                _ => return Err(error),
            },
        };
        if optional && body.is_empty() {
            body = Bytes::from_static(b"{}");
        }
        let Some(values) = json::parse_object(&body)? else {
            return Err(Error::field(
                "#",
                Invalid::new(FieldCode::InvalidType, "The body must be a JSON object."),
            ));
        };
        let mut fields = Fields::from_json(values);
        reject_query(&request, &mut fields);
        Ok(fields)
    }

    async fn read(mut self, limit: usize) -> Result<Bytes, Error> {
        let read_before = self.request.extensions_mut().remove::<ReadBody>();
        if let Some(ReadBody(body)) = read_before {
            return body.and_then(|body| {
                if body.len() > limit {
                    Err(Error::new(Code::PayloadTooLarge))
                } else {
                    Ok(body)
                }
            });
        }
        read(self.request.headers(), &mut self.payload, limit).await
    }
}

/// Reads a whole body of at most `limit` bytes.
pub(super) async fn read(headers: &HeaderMap, payload: &mut Payload, limit: usize) -> Result<Bytes, Error> {
    let content_length = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if content_length.is_some_and(|length| length > limit as u64) {
        return Err(Error::new(Code::PayloadTooLarge));
    }
    let body = async {
        // Most bodies arrive in one chunk, which is returned without a copy.
        let mut body = Bytes::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| {
                Error::with_detail(
                    Code::MalformedRequest,
                    "The connection broke before the whole body had arrived. Send the request again.",
                )
            })?;
            if body.len() + chunk.len() > limit {
                return Err(Error::new(Code::PayloadTooLarge));
            }
            body = if body.is_empty() {
                chunk
            } else {
                let mut joined = BytesMut::from(body);
                joined.extend_from_slice(&chunk);
                joined.freeze()
            };
        }
        Ok(body)
    };
    timeout(BODY_TIMEOUT, body)
        .await
        .unwrap_or_else(|_| Err(Error::new(Code::RequestTimeout)))
}

/// Accepts a body in UTF-8 with one of the media types. A `Content-Encoding` is rejected: a compressed body can inflate far beyond
/// the limit of its length.
fn check_media_type(headers: &HeaderMap, media_types: &[&str]) -> Result<(), Error> {
    let unsupported = || {
        Error::with_detail(
            Code::UnsupportedMediaType,
            format!("Send the body as {}.", media_types.join(" or ")),
        )
    };
    let coding = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
    if coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(Error::with_detail(
            Code::UnsupportedMediaType,
            "Send the body uncompressed, without Content-Encoding.",
        ));
    }
    let mut parts = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(unsupported)?
        .split(';');
    let essence = match parts.next().unwrap_or_default().trim() {
        // Not a registered name, but widespread.
        jpeg if jpeg.eq_ignore_ascii_case("image/jpg") => "image/jpeg",
        other => other,
    };
    let charset_fits = parts.all(|parameter| match parameter.trim().split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            let charset = value.trim_matches('"');
            // Not a registered name, but widespread.
            charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
        }
        _ => true,
    });
    if charset_fits
        && media_types
            .iter()
            .any(|media_type| essence.eq_ignore_ascii_case(media_type))
    {
        Ok(())
    } else {
        Err(unsupported())
    }
}

/// Operations with a body have no query parameters.
fn reject_query(request: &HttpRequest, fields: &mut Fields) {
    for (name, _) in url::form_urlencoded::parse(request.query_string().as_bytes()) {
        let detail = "There is no such parameter. Remove it, or check its spelling.";
        let unknown = Invalid::new(FieldCode::UnknownField, detail);
        fields.add_parameter_error(&name, unknown);
    }
}
