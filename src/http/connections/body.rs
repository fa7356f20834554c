//! Response bodies that keep their request in progress, and that don't fill memory for a client that reads slowly.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::ServiceRequest;
use actix_web::http::header;
use actix_web::web::Bytes;

use super::Connection;

/// How much of a body actix-http copies at once. A larger body, such as the OpenAPI document, would be copied as a whole.
const SLICE_BYTES: usize = 16 * 1024;

/// A request that is being handled, until it is dropped.
pub(in crate::http) struct RequestInProgress(Option<Arc<Connection>>);

impl RequestInProgress {
    pub(in crate::http) fn begin(request: &ServiceRequest) -> Self {
        let connection = request.conn_data::<Arc<Connection>>().cloned();
        if let Some(connection) = &connection {
            connection.begin_request(body_length(request));
        }
        Self(connection)
    }

    /// The body, with which the request ends.
    pub(in crate::http) fn end_with(self, body: BoxBody) -> BoxBody {
        match body.size() {
            BodySize::None => body,
            BodySize::Sized(length) if length <= SLICE_BYTES as u64 => body,
            BodySize::Sized(_) | BodySize::Stream => match body.try_into_bytes() {
                Ok(rest) => BoxBody::new(Slices { rest, _request: self }),
                Err(body) => BoxBody::new(Whole { body, _request: self }),
            },
        }
    }
}

impl Drop for RequestInProgress {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.end_request();
        }
    }
}

/// `None` for a body in chunks.
fn body_length(request: &ServiceRequest) -> Option<usize> {
    let headers = request.headers();
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return None;
    }
    let length = headers.get(header::CONTENT_LENGTH);
    Some(
        length
            .and_then(|length| length.to_str().ok()?.parse().ok())
            .unwrap_or(0),
    )
}

struct Slices {
    rest: Bytes,
    _request: RequestInProgress,
}

impl MessageBody for Slices {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.rest.len() as u64)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let rest = &mut self.get_mut().rest;
        let slice = rest.split_to(rest.len().min(SLICE_BYTES));
        Poll::Ready((!slice.is_empty()).then_some(Ok(slice)))
    }
}

struct Whole {
    body: BoxBody,
    _request: RequestInProgress,
}

impl MessageBody for Whole {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(context)
    }
}
