//! What a single field can hold, and what can be wrong with it.

use serde_json::Value;

use crate::error::{FieldCode, Invalid, MAX_FIELD_ERRORS};

/// Everything that is wrong with one value, each with a JSON Pointer relative to the value: empty, or `/0` for an item. Of many
/// errors, the first are kept and the others counted, as the response does.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ValueErrors {
    pub(super) kept: Vec<(String, Invalid)>,
    pub(super) omitted: usize,
}

impl ValueErrors {
    pub fn push(&mut self, pointer: String, invalid: Invalid) {
        if self.kept.len() < MAX_FIELD_ERRORS {
            self.kept.push((pointer, invalid));
        } else {
            self.omitted += 1;
        }
    }

    pub const fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

impl From<Invalid> for ValueErrors {
    fn from(invalid: Invalid) -> Self {
        let mut errors = Self::default();
        errors.push(String::new(), invalid);
        errors
    }
}

pub(super) fn wrong_type(detail: &'static str) -> ValueErrors {
    Invalid::new(FieldCode::InvalidType, detail).into()
}

/// The type of a field or parameter.
pub trait FieldValue: Sized {
    /// The value of an absent field; an error unless the type allows absence.
    fn absent() -> Result<Self, ValueErrors> {
        Err(Invalid::new(FieldCode::Required, "A value is required.").into())
    }

    fn parse(value: Value) -> Result<Self, ValueErrors>;

    /// Parameters are text: types that are not strings in JSON override this.
    fn parse_parameter(text: String) -> Result<Self, ValueErrors> {
        Self::parse(Value::String(text))
    }
}

impl FieldValue for String {
    fn parse(value: Value) -> Result<Self, ValueErrors> {
        match value {
            Value::String(text) => Ok(text),
            _ => Err(wrong_type("Must be a string.")),
        }
    }
}

impl FieldValue for bool {
    fn parse(value: Value) -> Result<Self, ValueErrors> {
        value.as_bool().ok_or_else(|| wrong_type("Must be true or false."))
    }
}

impl<T: FieldValue> FieldValue for Option<T> {
    fn absent() -> Result<Self, ValueErrors> {
        Ok(None)
    }

    fn parse(value: Value) -> Result<Self, ValueErrors> {
        if value.is_null() {
            Ok(None)
        } else {
            T::parse(value).map(Some)
        }
    }

    fn parse_parameter(text: String) -> Result<Self, ValueErrors> {
        T::parse_parameter(text).map(Some)
    }
}

impl<T: FieldValue> FieldValue for Vec<T> {
    fn parse(value: Value) -> Result<Self, ValueErrors> {
        let Value::Array(items) = value else {
            return Err(wrong_type("Must be an array."));
        };
        let mut values = Self::with_capacity(items.len());
        let mut errors = ValueErrors::default();
        for (index, item) in items.into_iter().enumerate() {
            match T::parse(item) {
                Ok(value) => values.push(value),
                Err(ValueErrors { kept, omitted }) => {
                    for (pointer, invalid) in kept {
                        errors.push(format!("/{index}{pointer}"), invalid);
                    }
                    errors.omitted += omitted;
                }
            }
        }
        if errors.is_empty() { Ok(values) } else { Err(errors) }
    }
}
