//! Errors of single fields and parameters.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// The rule that a field or parameter breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldCode {
    Required,
    InvalidType,
    InvalidFormat,
    /// Too few characters or items.
    TooShort,
    /// Too many characters or items.
    TooLong,
    /// A number or an instant outside of its limits.
    OutOfRange,
    UnknownField,
    /// Not the current password.
    Incorrect,
    /// Different from the field that it must repeat.
    Mismatch,
    /// A password that is easy to guess.
    TooWeak,
    /// A password that contains the e-mail address, the username or the like.
    ContainsUserInfo,
    /// Equal to the current value, which this operation would replace.
    SameAsCurrent,
    /// Well-formed, but not one of the allowed values.
    NotAllowed,
}

impl FieldCode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::InvalidType => "invalid_type",
            Self::InvalidFormat => "invalid_format",
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::OutOfRange => "out_of_range",
            Self::UnknownField => "unknown_field",
            Self::Incorrect => "incorrect",
            Self::Mismatch => "mismatch",
            Self::TooWeak => "too_weak",
            Self::ContainsUserInfo => "contains_user_info",
            Self::SameAsCurrent => "same_as_current",
            Self::NotAllowed => "not_allowed",
        }
    }
}

/// A rule that a value breaks; [`FieldError`] adds the location of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    pub code: FieldCode,
    /// One sentence that a form can show beside the field.
    pub detail: Cow<'static, str>,
    /// The limits of the rule, for clients that have texts of their own.
    pub params: Map<String, Value>,
}

impl Invalid {
    pub fn new(code: FieldCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            params: Map::new(),
        }
    }

    /// Adds a parameter, such as `min`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }

    /// `pointer` is a JSON Pointer into the body, as a URI fragment (RFC 6901 §6): `#/name`.
    pub fn at(self, pointer: impl Into<String>) -> FieldError {
        FieldError {
            location: ErrorLocation::Pointer(pointer.into()),
            invalid: self,
        }
    }

    pub fn at_parameter(self, name: impl Into<String>) -> FieldError {
        FieldError {
            location: ErrorLocation::Parameter(name.into()),
            invalid: self,
        }
    }
}

/// How many invalid fields a response lists. Without a limit, an array of 32,000 wrong items in 64 KiB would cause 3 MB.
pub const MAX_FIELD_ERRORS: usize = 50;

/// The part of the request that an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorLocation {
    /// JSON Pointer into the body, as a URI fragment.
    Pointer(String),
    /// Name of a query parameter.
    Parameter(String),
}

/// One entry of `errors` in a `validation_error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    pub location: ErrorLocation,
    pub invalid: Invalid,
}
