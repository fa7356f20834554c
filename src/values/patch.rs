//! A field of a merge patch (RFC 7396).

use serde_json::Value;

use super::{FieldValue, ValueErrors};

/// A field that a merge patch may leave out. `Patch<Option<T>>` is one that it may also set to null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patch<T> {
    Keep,
    Set(T),
}

impl<T> Patch<T> {
    /// The new value, if there is one.
    pub fn set(self) -> Option<T> {
        match self {
            Self::Keep => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<T: FieldValue> FieldValue for Patch<T> {
    fn absent() -> Result<Self, ValueErrors> {
        Ok(Self::Keep)
    }

    fn parse(value: Value) -> Result<Self, ValueErrors> {
        T::parse(value).map(Self::Set)
    }

    fn parse_parameter(text: String) -> Result<Self, ValueErrors> {
        T::parse_parameter(text).map(Self::Set)
    }
}
