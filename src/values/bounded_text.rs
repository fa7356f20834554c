//! Text with a maximum length and no other rule.

use serde_json::Value;

use super::{FieldValue, ValueErrors, check_length};

/// Text of at most `MAX` code points, such as the beginning of a value that is still being typed.
#[derive(Clone, Debug)]
pub struct BoundedText<const MAX: usize>(String);

impl<const MAX: usize> BoundedText<MAX> {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

impl<const MAX: usize> FieldValue for BoundedText<MAX> {
    fn parse(value: Value) -> Result<Self, ValueErrors> {
        let text = String::parse(value)?;
        check_length(&text, 0, MAX)?;
        Ok(Self(text))
    }
}
