//! Integers with a minimum and a maximum.

use serde_json::Value;

use super::field_value::wrong_type;
use super::{FieldValue, ValueErrors};
use crate::error::{FieldCode, Invalid};

/// A whole number from `MIN` to `MAX`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundedInt<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> BoundedInt<MIN, MAX> {
    pub const fn get(self) -> i64 {
        self.0
    }

    fn checked(number: i64) -> Result<Self, ValueErrors> {
        if (MIN..=MAX).contains(&number) {
            return Ok(Self(number));
        }
        let detail = format!("Must be between {MIN} and {MAX}.");
        Err(Invalid::new(FieldCode::OutOfRange, detail)
            .with("min", MIN)
            .with("max", MAX)
            .into())
    }
}

impl<const MIN: i64, const MAX: i64> FieldValue for BoundedInt<MIN, MAX> {
    /// JSON has one type of number (RFC 8259 §6): 5.0 is 5, and a number beyond 64 bits is out of range, not of another type.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "`as` turns a number beyond 64 bits into the nearest one within"
    )]
    fn parse(value: Value) -> Result<Self, ValueErrors> {
        match value {
            Value::Number(number) if number.is_i64() => Self::checked(number.as_i64().unwrap_or_default()),
            Value::Number(number) => match number.as_f64().filter(|number| number.fract() == 0.0) {
                Some(whole) => Self::checked(whole as i64),
                None => Err(wrong_type("Must be a whole number.")),
            },
            _ => Err(wrong_type("Must be a whole number.")),
        }
    }

    fn parse_parameter(text: String) -> Result<Self, ValueErrors> {
        let digits = text.strip_prefix('-').unwrap_or(&text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong_type("Must be a whole number."));
        }
        let beyond_64_bits = if digits == text { i64::MAX } else { i64::MIN };
        Self::checked(text.parse().unwrap_or(beyond_64_bits))
    }
}
