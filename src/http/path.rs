//! Ids in paths.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::FutureExt as _;
use futures_util::future::{Either, LocalBoxFuture};

use super::RouteTable;
use crate::error::{Code, Error};
use crate::values::ids::Id;

/// The ids of a path, in order: `Path<OrgId>` or `Path<(OrgId, UserId)>`. Text that is not an id is 404, like the id of something
/// that does not exist. A handler takes it after the caller, whose 401 or 403 comes first.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

pub trait FromPath: Sized {
    /// `segments` are the values of the path's parameters, in order.
    fn from_path<'a>(segments: impl Iterator<Item = &'a str>) -> Option<Self>;
}

impl<T: Id> FromPath for T {
    fn from_path<'a>(mut segments: impl Iterator<Item = &'a str>) -> Option<Self> {
        T::parse(segments.next()?)
    }
}

impl<A: Id, B: Id> FromPath for (A, B) {
    fn from_path<'a>(mut segments: impl Iterator<Item = &'a str>) -> Option<Self> {
        Some((A::parse(segments.next()?)?, B::parse(segments.next()?)?))
    }
}

impl<T: FromPath + 'static> FromRequest for Path<T> {
    type Error = Error;
    type Future = Either<Ready<Result<Self, Error>>, LocalBoxFuture<'static, Result<Self, Error>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let segments = request.match_info().iter().map(|(_, segment)| segment);
        match T::from_path(segments) {
            Some(ids) => Either::Left(ready(Ok(Self(ids)))),
            None => Either::Right(reject(request.clone(), payload.take()).map(Err).boxed_local()),
        }
    }
}

async fn reject(request: HttpRequest, payload: Payload) -> Error {
    // actix closes the connection after a response to a request whose body was not read, except when the body arrived together
    // with the head. A handler that looks the id up gives actix time to notice that, so this path has to yield as well:
    // otherwise `Connection: close` would distinguish a malformed id from an unknown one.
    tokio::task::yield_now().await;
    drop(payload);
    method_not_allowed(&request).unwrap_or_else(Error::not_found)
}

/// 405 if the request was routed to a pattern (`PATCH /api-keys/{api_key_id}`) although its path is a literal route with other
/// methods (`/api-keys/current`).
pub fn method_not_allowed(request: &HttpRequest) -> Option<Error> {
    let routes = request.app_data::<web::Data<RouteTable>>()?;
    // Percent-decoded, as the router compares it.
    let path = request.match_info().as_str();
    let methods = routes.allow_literal(path)?;
    let is_literal_route = request.match_pattern().is_some_and(|pattern| pattern == path);
    (!is_literal_route).then(|| Error::new(Code::MethodNotAllowed).allow(methods))
}
