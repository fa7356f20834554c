//! Entity tags (RFC 9110 §8.8.3) and conditional requests.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::Error;
use crate::secret::TokenHash;
use crate::values::Precondition;

fn tags_in(headers: &HeaderMap, name: HeaderName) -> Option<Vec<String>> {
    headers.contains_key(&name).then(|| {
        let values = headers.get_all(&name).filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim().to_owned())
            .collect()
    })
}

/// Whether `If-None-Match` contains `tag`, by weak comparison (RFC 9110 §13.1.2).
pub fn etag_matches(headers: &HeaderMap, tag: &str) -> bool {
    tags_in(headers, IF_NONE_MATCH).is_some_and(|tags| {
        tags.iter()
            .any(|known| known == "*" || known.trim_start_matches("W/") == tag)
    })
}

impl FromRequest for Precondition {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::new(tags_in(request.headers(), IF_MATCH))))
    }
}

/// Content with its entity tag, a hash of the content.
#[derive(Clone, Debug)]
pub struct TaggedContent {
    content: Bytes,
    tag: String,
}

impl From<Bytes> for TaggedContent {
    fn from(content: Bytes) -> Self {
        let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(TokenHash::of(&content).as_bytes()));
        Self { content, tag }
    }
}

/// A response that may be cached. 304 if the client has it already. Large content that does not change is tagged once: the
/// hash of a megabyte takes milliseconds.
pub fn cacheable(
    request: &HttpRequest,
    content: impl Into<TaggedContent>,
    media_type: &str,
    cache_control: &'static str,
) -> HttpResponse {
    let TaggedContent { content, tag } = content.into();
    let is_cached = etag_matches(request.headers(), &tag);
    let mut response = if is_cached {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((header::ETAG, tag))
        .insert_header((header::CACHE_CONTROL, cache_control));
    if is_cached {
        response.finish()
    } else {
        response.content_type(media_type).body(content)
    }
}
