//! Ids in bodies and queries.

use serde_json::Value;

use super::ids::Id;
use super::{FieldValue, ValueErrors};
use crate::error::Error;

/// A reference to something by its id. Text that is not an id is accepted here and becomes 404 in [`id`](Self::id), the same
/// as the id of something that the caller may not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRef<T>(Option<T>);

impl<T> IdRef<T> {
    /// # Errors
    /// `not_found` when the text was not an id.
    pub fn id(self) -> Result<T, Error> {
        self.0.ok_or_else(Error::not_found)
    }
}

impl<T: Id> FieldValue for IdRef<T> {
    fn parse(value: Value) -> Result<Self, ValueErrors> {
        String::parse(value).map(|text| Self(T::parse(&text)))
    }
}
