//! Ids in paths.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use crate::error::Error;
use crate::ids::Id;

/// The ids of a path, in its order: `Path<OrgId>` or `Path<(OrgId, UserId)>`. What is not an id is 404, the same as one
/// that names nothing. Being ready at once, it answers after the credential, which is a handler's first argument.
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

impl<T: FromPath> FromRequest for Path<T> {
    type Error = Error;
    type Future = std::future::Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let segments = request.match_info().iter().map(|(_, segment)| segment);
        std::future::ready(T::from_path(segments).map(Self).ok_or_else(Error::not_found))
    }
}
