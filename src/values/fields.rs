//! Members of bodies and parameters of queries, parsed into domain types; all that is wrong is said at once.
//!
//! The macro [`request_type!`](crate::request_type) declares a request type: its fields are its members, the type of a field is the
//! rule of its member. `Option<T>` may be absent or null; [`Patch<T>`] is a member of a merge patch (RFC 7396), where
//! absence means "keep".

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{Error, FieldCode, FieldError, Invalid};
use crate::values::ids::Id;
use crate::values::locale::Locale;

/// What is wrong within one member: where below it (empty, or `/0`), and what.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ValueErrors(Vec<(String, Invalid)>);

impl ValueErrors {
    /// Adds what is wrong `below` the member (a JSON Pointer, such as `/0`).
    pub fn push(&mut self, below: &str, invalid: Invalid) {
        self.0.push((below.to_owned(), invalid));
    }

    /// Whether nothing is wrong.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Invalid> for ValueErrors {
    fn from(invalid: Invalid) -> Self {
        Self(vec![(String::new(), invalid)])
    }
}

/// A type that a member can have.
pub trait FieldValue: Sized {
    /// What to make of absence: an error unless the type says otherwise.
    ///
    /// # Errors
    /// `required`.
    fn absent() -> Result<Self, ValueErrors> {
        Err(Invalid::new(FieldCode::Required, "This is required.").into())
    }

    /// Reads a member's value.
    ///
    /// # Errors
    /// The rules that it breaks.
    fn parse(value: Value) -> Result<Self, ValueErrors>;

    /// Reads a query parameter's value.
    ///
    /// # Errors
    /// The rules that it breaks.
    fn parse_parameter(text: String) -> Result<Self, ValueErrors> {
        Self::parse(Value::String(text))
    }
}

/// The members of one request, taken out one by one.
pub struct Fields {
    values: BTreeMap<String, Value>,
    is_query: bool,
    errors: Vec<FieldError>,
}

impl Fields {
    /// Of a JSON object.
    pub fn from_json(values: BTreeMap<String, Value>) -> Self {
        Self {
            values,
            is_query: false,
            errors: Vec::new(),
        }
    }

    /// Of a query string or a form (`application/x-www-form-urlencoded`).
    pub fn from_query(query: &str) -> Self {
        let mut members = Self {
            values: BTreeMap::new(),
            is_query: true,
            errors: Vec::new(),
        };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if members
                .values
                .insert(name.clone().into_owned(), Value::String(value.into_owned()))
                .is_some()
            {
                members.add_error(
                    &name,
                    Invalid::new(FieldCode::InvalidFormat, "Give this parameter once."),
                );
            }
        }
        members
    }

    /// Takes the member `name`; `None` when it is not valid, which is remembered.
    pub fn take<T: FieldValue>(&mut self, name: &str) -> Option<T> {
        let parsed = match self.values.remove(name) {
            None => T::absent(),
            Some(value) if contains_nul(&value) => {
                Err(Invalid::new(FieldCode::InvalidFormat, "Must not contain the character U+0000.").into())
            }
            Some(Value::String(text)) if self.is_query => T::parse_parameter(text),
            Some(value) => T::parse(value),
        };
        match parsed {
            Ok(value) => Some(value),
            Err(ValueErrors(list)) => {
                for (below, invalid) in list {
                    self.push(name, &below, invalid);
                }
                None
            }
        }
    }

    /// The member `name` if it is valid, left where it is: for rules about more than one member.
    pub fn peek<T: FieldValue>(&self, name: &str) -> Option<T> {
        match self.values.get(name) {
            None => T::absent().ok(),
            Some(value) if contains_nul(value) => None,
            Some(value) => T::parse(value.clone()).ok(),
        }
    }

    /// Whether the member `name` is given, and is not null.
    pub fn has(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| !value.is_null())
    }

    /// Remembers what such rules refuse.
    pub fn add_errors(&mut self, errors: impl IntoIterator<Item = FieldError>) {
        self.errors.extend(errors);
    }

    /// Remembers that the member `name` is not valid.
    pub fn add_error(&mut self, name: &str, invalid: Invalid) {
        self.push(name, "", invalid);
    }

    /// Remembers that the query parameter `name` is not valid, whatever the members are of.
    pub fn add_parameter_error(&mut self, name: &str, invalid: Invalid) {
        self.errors.push(invalid.at_parameter(name));
    }

    fn push(&mut self, name: &str, below: &str, invalid: Invalid) {
        self.errors.push(if self.is_query {
            invalid.at_parameter(name)
        } else {
            invalid.at(format!("#/{}{below}", name.replace('~', "~0").replace('/', "~1")))
        });
    }

    /// Reads a request of its members.
    ///
    /// # Errors
    /// `validation_error` with everything that is wrong.
    pub fn read<T: FromFields>(mut self) -> Result<T, Error> {
        let parsed = T::from_fields(&mut self);
        self.finish(parsed)
    }

    /// Ends the reading: whatever was not taken is unknown.
    ///
    /// # Errors
    /// `validation_error` with everything that is wrong.
    pub fn finish<T>(mut self, parsed: Option<T>) -> Result<T, Error> {
        for name in std::mem::take(&mut self.values).keys() {
            self.add_error(name, Invalid::new(FieldCode::UnknownField, "There is no such field."));
        }
        match parsed {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(Error::validation(self.errors)),
        }
    }
}

fn contains_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(contains_nul),
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| name.contains('\0') || contains_nul(value)),
        _ => false,
    }
}

/// A request type, made of members.
pub trait FromFields: Sized {
    /// Takes every member there may be.
    fn from_fields(fields: &mut Fields) -> Option<Self>;
}

impl<A: FromFields, B: FromFields> FromFields for (A, B) {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        // Both are read before either is checked, so that the errors of both are reported.
        let (a, b) = (A::from_fields(fields), B::from_fields(fields));
        Some((a?, b?))
    }
}

/// Declares a request type: a plain struct whose fields are its members.
#[macro_export]
macro_rules! request_type {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty),* $(,)?
    }) => {
        $(#[$meta])*
        $vis struct $name { $($(#[$field_meta])* $field_vis $field: $type),* }

        impl $crate::values::FromFields for $name {
            #[allow(unused_variables, reason = "a request may have no members")]
            fn from_fields(fields: &mut $crate::values::Fields) -> Option<Self> {
                // Each is taken before any is looked at, so that all that is wrong is found.
                $(let $field = fields.take::<$type>(stringify!($field));)*
                Some(Self { $($field: $field?),* })
            }
        }
    };
}

fn wrong_type(expected: &'static str) -> ValueErrors {
    Invalid::new(FieldCode::InvalidType, expected).into()
}

impl FieldValue for String {
    fn parse(value: Value) -> Result<Self, ValueErrors> {
        match value {
            Value::String(text) => Ok(text),
            _ => Err(wrong_type("Must be a string.")),
        }
    }
}

impl FieldValue for Locale {
    fn parse(value: Value) -> Result<Self, ValueErrors> {
        let tag = String::parse(value)?;
        Self::of_tag(&tag).ok_or_else(|| {
            let tags: Vec<&str> = Self::ALL.iter().map(|locale| locale.as_str()).collect();
            let detail = format!("Must be one of {}.", tags.join(", "));
            Invalid::new(FieldCode::NotAllowed, detail).with("allowed", tags).into()
        })
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
                Err(ValueErrors(list)) => {
                    errors.0.extend(
                        list.into_iter()
                            .map(|(below, invalid)| (format!("/{index}{below}"), invalid)),
                    );
                }
            }
        }
        if errors.0.is_empty() { Ok(values) } else { Err(errors) }
    }
}

/// A member of a merge patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patch<T> {
    /// It is absent: the value stays.
    Keep,
    /// It is given: the value becomes this.
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

/// A whole number within limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundedInt<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> BoundedInt<MIN, MAX> {
    /// The number.
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
    #[expect(clippy::cast_possible_truncation, reason = "what is too large becomes the largest")]
    fn parse(value: Value) -> Result<Self, ValueErrors> {
        match value {
            Value::Number(number) if number.is_i64() => Self::checked(number.as_i64().unwrap_or_default()),
            Value::Number(number) => match number.as_f64().filter(|number| number.fract() == 0.0) {
                // Beyond what is exact (and 64 bits) it is a number all the same: out of range, not of another type.
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
        let beyond = if digits == text { i64::MAX } else { i64::MIN };
        Self::checked(text.parse().unwrap_or(beyond))
    }
}

/// An id in a body. What is not one, or names nothing the caller may see, is the same 404.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRef<T>(Option<T>);

impl<T> IdRef<T> {
    /// The id.
    ///
    /// # Errors
    /// `not_found` when it is none.
    pub fn id(self) -> Result<T, Error> {
        self.0.ok_or_else(Error::not_found)
    }
}

impl<T: Id> FieldValue for IdRef<T> {
    fn parse(value: Value) -> Result<Self, ValueErrors> {
        String::parse(value).map(|text| Self(T::parse(&text)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::ErrorLocation;

    request_type! {
        struct Sample {
            name: String,
            days: Option<BoundedInt<1, 30>>,
            tags: Option<Vec<String>>,
            note: Patch<Option<String>>,
        }
    }

    fn parse(body: Value) -> Result<Sample, Error> {
        let Value::Object(values) = body else {
            panic!("not an object")
        };
        Fields::from_json(values.into_iter().collect()).read()
    }

    fn places(error: &Error) -> Vec<(String, &'static str)> {
        let place = |field: &FieldError| match &field.location {
            ErrorLocation::Pointer(pointer) => pointer.clone(),
            ErrorLocation::Parameter(name) => name.clone(),
        };
        error
            .fields()
            .iter()
            .map(|field| (place(field), field.invalid.code.as_str()))
            .collect()
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let error = parse(json!({"days": 31, "tags": ["a", 1, "\0"], "a/b": 1}))
            .err()
            .unwrap();
        let expected = [
            ("#/name", "required"),
            ("#/days", "out_of_range"),
            ("#/tags", "invalid_format"),
            ("#/a~1b", "unknown_field"),
        ];
        assert_eq!(places(&error), expected.map(|(place, code)| (place.to_owned(), code)));
    }

    #[test]
    fn an_item_of_another_type_is_named_by_its_place() {
        let error = parse(json!({"name": "a", "tags": ["a", 1]})).err().unwrap();
        assert_eq!(places(&error), [("#/tags/1".to_owned(), "invalid_type")]);
    }

    #[test]
    fn absence_and_null_are_told_apart_in_a_patch() {
        assert_eq!(parse(json!({"name": "a"})).unwrap().note, Patch::Keep);
        assert_eq!(
            parse(json!({"name": "a", "note": null})).unwrap().note,
            Patch::Set(None)
        );
        let sample = parse(json!({"name": "a", "days": null, "tags": ["x"], "note": "n"})).unwrap();
        assert_eq!(
            (sample.days, sample.tags, sample.name.as_str()),
            (None, Some(vec!["x".to_owned()]), "a")
        );
    }

    #[test]
    fn numbers_beyond_64_bits_are_out_of_range() {
        let days = parse(json!({"name": "a", "days": 5.0})).unwrap().days;
        assert_eq!(days.map(BoundedInt::get), Some(5));
        for (days, code) in [
            (json!(u64::MAX), "out_of_range"),
            (json!(1e30), "out_of_range"),
            (json!(-1e30), "out_of_range"),
            (json!(31.0), "out_of_range"),
            (json!(1.5), "invalid_type"),
            (json!("1"), "invalid_type"),
        ] {
            let error = parse(json!({"name": "a", "days": days})).err().unwrap();
            assert_eq!(places(&error), [("#/days".to_owned(), code)], "{days}");
        }
        for (query, code) in [
            ("name=a&days=99999999999999999999", "out_of_range"),
            ("name=a&days=-99999999999999999999", "out_of_range"),
            ("name=a&days=%2B5", "invalid_type"),
            ("name=a&days=-", "invalid_type"),
            ("name=a&days=", "invalid_type"),
        ] {
            let error = Fields::from_query(query).read::<Sample>().err().unwrap();
            assert_eq!(places(&error), [("days".to_owned(), code)], "{query}");
        }
    }
}
