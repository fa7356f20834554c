//! Ids in paths.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::FutureExt as _;
use futures_util::future::{Either, LocalBoxFuture};

use super::RouteTable;
use crate::error::{Code, Error};
use crate::values::ids::Id;

/// The ids of a path, in its order: `Path<OrgId>` or `Path<(OrgId, UserId)>`. What is not an id is 404, the same as one
/// that names nothing. It answers after the credential, which is a handler's first argument and ready at once.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

/// What a path can be read into.
pub trait FromPath: Sized {
    /// Reads the segments that are variable, in their order.
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
            None => Either::Right(refuse(request.clone(), payload.take()).map(Err).boxed_local()),
        }
    }
}

async fn refuse(request: HttpRequest, payload: Payload) -> Error {
    // As where the id is one, but of nothing: a body that nobody takes closes the connection, unless it has come with the
    // head, and is there once the protocol layer had its turn. By that the two could be told apart.
    tokio::task::yield_now().await;
    drop(payload);
    method_not_allowed(&request).unwrap_or_else(Error::not_found)
}

/// That a path has other methods than this one: `/api-keys/current` is no id, though it was taken for one.
pub fn method_not_allowed(request: &HttpRequest) -> Option<Error> {
    let routes = request.app_data::<web::Data<RouteTable>>()?;
    // As the router sees it, without percent-encoding.
    let path = request.match_info().as_str();
    let methods = routes.allow_literal(path)?;
    let is_itself = request.match_pattern().is_some_and(|pattern| pattern == path);
    (!is_itself).then(|| Error::new(Code::MethodNotAllowed).allow(methods))
}
