//! The part of a request that comes after permission: its query and its body.

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
use crate::values::{Fields, FromFields};

/// Most bytes of a body, unless an endpoint says otherwise.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// What a merge patch may call itself (RFC 7396 §4).
const MERGE_PATCH: [&str; 2] = ["application/json", "application/merge-patch+json"];

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What came of reading the body, for who needed it before the handler.
pub(super) struct ReadBody(pub Result<Bytes, Error>);

/// Query and body, of which nothing was said yet. A handler calls exactly one of its methods, once it knows that the caller
/// may go on: in this way a stranger gets 404, and not 422, and no request can carry parameters nobody looks at.
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

struct Nothing;

impl FromFields for Nothing {
    fn from_fields(_: &mut Fields) -> Option<Self> {
        Some(Self)
    }
}

impl RequestInput {
    /// Neither query nor body is wanted. Of a GET nobody reads a body; of the others an empty object is as good as none.
    ///
    /// # Errors
    /// `validation_error` for a query parameter or a member; as [`RequestInput::json`] for a body that is none.
    pub async fn none(self) -> Result<(), Error> {
        if self.request.method() == Method::GET {
            return self.query::<Nothing>().map(|_| ());
        }
        self.optional_json::<Nothing>().await.map(|_| ())
    }

    /// The query; a body is not looked at.
    ///
    /// # Errors
    /// `validation_error`.
    pub fn query<T: FromFields>(&self) -> Result<T, Error> {
        Fields::from_query(self.request.query_string()).read()
    }

    /// A JSON object as body.
    ///
    /// # Errors
    /// In this order: `unsupported_media_type`, `payload_too_large`, `request_timeout`, `malformed_json`,
    /// `validation_error`.
    pub async fn json<T: FromFields>(self) -> Result<T, Error> {
        self.json_of(&["application/json"], false).await
    }

    /// The members of a JSON object as body, for a handler that has rules about more than one of them.
    ///
    /// # Errors
    /// As [`RequestInput::json`], but for what the members are.
    pub async fn fields(self) -> Result<Fields, Error> {
        self.fields_of(&["application/json"], false).await
    }

    /// The members of a merge patch, likewise.
    ///
    /// # Errors
    /// As [`RequestInput::members`].
    pub async fn merge_patch_fields(self) -> Result<Fields, Error> {
        self.fields_of(&MERGE_PATCH, false).await
    }

    /// A JSON object as body, or nothing at all, which is read as `{}`.
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
    /// As [`RequestInput::json`], but for the syntax, of which a form has none.
    pub async fn form<T: FromFields>(self) -> Result<T, Error> {
        check_media_type(self.request.headers(), &["application/x-www-form-urlencoded"])?;
        let request = self.request.clone();
        let body = self.read(MAX_BODY_BYTES).await?;
        let text = String::from_utf8(body.to_vec()).map_err(|_| Error::new(Code::MalformedRequest))?;
        let mut members = Fields::from_query(&text);
        let parsed = T::from_fields(&mut members);
        refuse_query(&request, &mut members);
        members.finish(parsed)
    }

    /// Bytes of one of the media types given, with the one they have.
    ///
    /// # Errors
    /// `unsupported_media_type`, `payload_too_large`, `request_timeout`, `validation_error` for a query parameter.
    pub async fn bytes(self, media_types: &'static [&'static str], limit: usize) -> Result<Bytes, Error> {
        check_media_type(self.request.headers(), media_types)?;
        let request = self.request.clone();
        let body = self.read(limit).await?;
        let mut members = Fields::from_json(BTreeMap::new());
        refuse_query(&request, &mut members);
        members.finish(Some(body))
    }

    async fn json_of<T: FromFields>(self, media_types: &[&str], optional: bool) -> Result<T, Error> {
        self.fields_of(media_types, optional).await?.read()
    }

    async fn fields_of(self, media_types: &[&str], optional: bool) -> Result<Fields, Error> {
        let request = self.request.clone();
        let headers = request.headers();
        let body = if optional && !headers.contains_key(CONTENT_TYPE) {
            let body = self.read(MAX_BODY_BYTES).await?;
            if body.is_empty() {
                Bytes::from_static(b"{}")
            } else {
                return Err(Error::new(Code::UnsupportedMediaType));
            }
        } else {
            check_media_type(headers, media_types)?;
            let body = self.read(MAX_BODY_BYTES).await?;
            if optional && body.is_empty() {
                Bytes::from_static(b"{}")
            } else {
                body
            }
        };
        let Some(values) = json::parse_object(&body)? else {
            return Err(Error::field(
                "#",
                Invalid::new(FieldCode::InvalidType, "The body must be a JSON object."),
            ));
        };
        let mut members = Fields::from_json(values);
        refuse_query(&request, &mut members);
        Ok(members)
    }

    async fn read(mut self, limit: usize) -> Result<Bytes, Error> {
        let before = self.request.extensions_mut().remove::<ReadBody>();
        if let Some(ReadBody(body)) = before {
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

/// Reads a whole body, up to `limit` bytes, in bounded time.
pub(super) async fn read(headers: &HeaderMap, payload: &mut Payload, limit: usize) -> Result<Bytes, Error> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(Error::new(Code::PayloadTooLarge));
    }
    let body = async {
        // Most bodies come in one piece, which need not be copied.
        let mut body = Bytes::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Error::with_detail(Code::MalformedRequest, "The body broke off."))?;
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

/// A body has one of the given types, in UTF-8, and no content coding: what inflates is not bounded by its length.
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
            "Send the body without Content-Encoding.",
        ));
    }
    let mut parts = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(unsupported)?
        .split(';');
    let essence = parts.next().unwrap_or_default().trim();
    let charset_fits = parts.all(|parameter| match parameter.trim().split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
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

/// Beside a body there are no query parameters.
fn refuse_query(request: &HttpRequest, fields: &mut Fields) {
    for (name, _) in url::form_urlencoded::parse(request.query_string().as_bytes()) {
        let unknown = Invalid::new(FieldCode::UnknownField, "There is no such parameter.");
        fields.add_parameter_error(&name, unknown);
    }
}
