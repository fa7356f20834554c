//! Reading the fields of a request into domain types; all errors are collected before any is returned.
//!
//! [`request_type!`](crate::request_type) declares a request type: each field of the struct is a field of the body (or a
//! parameter of the query), and its type holds the rule. `Option<T>` may be absent or null; [`Patch<T>`](super::Patch) is a
//! field of a merge patch, where absence means "keep".
//!
//! # Reading requests: why not deserr
//!
//! [deserr](https://docs.rs/deserr/0.6.4) (Meilisearch) also collects errors while it reads a parsed JSON value. From its
//! documentation and source (0.6.4, 1,750 lines and a derive macro), compared with what the API promises:
//!
//! | needed | deserr 0.6.4 | here |
//! |---|---|---|
//! | all errors at once, unknown fields, absent / null / value | yes: `MergeWithError`, `deny_unknown_fields`, a custom type | yes |
//! | JSON Pointer, code, detail and `params` of each error | a custom error type, about 60 lines | `ValueErrors` |
//! | a field given twice is an error | no: it reads `serde_json::Value`, where the last one wins | `http/json.rs` |
//! | `5.0` is 5, and 1e30 is `out_of_range`, not `invalid_type` | a custom type | `BoundedInt` |
//! | U+0000 is an error in every string | every string type has to check it | once, in `Fields::take` |
//! | queries and forms with the same types | values are strings, so numbers need a second implementation | `parse_parameter` |
//! | errors of the query and of the body in one response | two extractors, two responses | `add_parameter_error` |
//! | OpenAPI schemas | no | `utoipa` on the same struct |
//!
//! deserr would replace this file (about 200 lines without comments and tests), except for the rows with a custom type. Custom
//! types are longer there, because each is generic over the value and the error. `http/json.rs` would still be needed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::field_value::{FieldValue, ValueErrors};
use crate::error::{Error, FieldCode, FieldError, Invalid, MAX_FIELD_ERRORS};

/// How many characters of a name from the request an error repeats.
const MAX_NAME: usize = 64;

/// A name as a segment of a JSON Pointer (RFC 6901 §3); a long name is cut.
pub fn pointer_segment(name: &str) -> String {
    format!("/{}", shortened(name).replace('~', "~0").replace('/', "~1"))
}

fn shortened(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(MAX_NAME) {
        Some((end, _)) => Cow::Owned(format!("{}…", name.split_at(end).0)),
        None => Cow::Borrowed(name),
    }
}

/// The fields of one request that are not read yet, and the errors of those that are.
pub struct Fields {
    values: BTreeMap<String, Value>,
    is_query: bool,
    errors: Vec<FieldError>,
    /// Further errors, which are only counted.
    omitted: usize,
}

impl Fields {
    pub fn from_json(values: BTreeMap<String, Value>) -> Self {
        Self {
            values,
            is_query: false,
            errors: Vec::new(),
            omitted: 0,
        }
    }

    /// Reads a query string or a form (`application/x-www-form-urlencoded`).
    pub fn from_query(query: &str) -> Self {
        let mut fields = Self {
            values: BTreeMap::new(),
            is_query: true,
            errors: Vec::new(),
            omitted: 0,
        };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let value = Value::String(value.into_owned());
            if fields.values.insert(name.clone().into_owned(), value).is_some() {
                let twice = Invalid::new(FieldCode::InvalidFormat, "Send this parameter only once.");
                fields.add_error(&name, twice);
            }
        }
        fields
    }

    /// Removes a field and parses it. `None` means that it is not valid; its errors are kept for [`finish`](Self::finish).
    pub fn take<T: FieldValue>(&mut self, name: &str) -> Option<T> {
        let parsed = match self.values.remove(name) {
            None => T::absent(),
            Some(value) => {
                let with_nul = pointers_to_nul(&value);
                let parsed = match value {
                    Value::String(text) if self.is_query => T::parse_parameter(text),
                    value => T::parse(value),
                };
                refuse_nul(parsed, with_nul)
            }
        };
        match parsed {
            Ok(value) => Some(value),
            Err(ValueErrors { kept, omitted }) => {
                for (pointer, invalid) in kept {
                    self.push(name, &pointer, invalid);
                }
                self.omitted += omitted;
                None
            }
        }
    }

    /// Parses a field without removing it, for rules that concern several fields; `None` if it is not valid.
    pub fn peek<T: FieldValue>(&self, name: &str) -> Option<T> {
        match self.values.get(name) {
            None => T::absent().ok(),
            Some(value) if !pointers_to_nul(value).is_empty() => None,
            Some(value) => T::parse(value.clone()).ok(),
        }
    }

    /// Whether a field is present and not null.
    pub fn has(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| !value.is_null())
    }

    pub fn add_errors(&mut self, errors: impl IntoIterator<Item = FieldError>) {
        for error in errors {
            self.keep(error);
        }
    }

    pub fn add_error(&mut self, name: &str, invalid: Invalid) {
        self.push(name, "", invalid);
    }

    /// Adds an error of a query parameter, also where these are the fields of a body.
    pub fn add_parameter_error(&mut self, name: &str, invalid: Invalid) {
        self.keep(invalid.at_parameter(shortened(name).into_owned()));
    }

    fn push(&mut self, name: &str, pointer: &str, invalid: Invalid) {
        if self.is_query {
            self.add_parameter_error(name, invalid);
        } else {
            self.keep(invalid.at(format!("#{}{pointer}", pointer_segment(name))));
        }
    }

    fn keep(&mut self, error: FieldError) {
        if self.errors.len() < MAX_FIELD_ERRORS {
            self.errors.push(error);
        } else {
            self.omitted += 1;
        }
    }

    /// Reads a whole request type.
    ///
    /// # Errors
    /// `validation_error` with everything that is wrong.
    pub fn read<T: FromFields>(mut self) -> Result<T, Error> {
        let parsed = T::from_fields(&mut self);
        self.finish(parsed)
    }

    /// Returns `parsed` if there was no error. A field that was not taken is unknown.
    ///
    /// # Errors
    /// `validation_error` with everything that is wrong.
    pub fn finish<T>(mut self, parsed: Option<T>) -> Result<T, Error> {
        let detail = if self.is_query {
            "There is no such parameter. Remove it, or check its spelling."
        } else {
            "There is no such field. Remove it, or check its spelling."
        };
        for name in std::mem::take(&mut self.values).keys() {
            self.add_error(name, Invalid::new(FieldCode::UnknownField, detail));
        }
        match parsed {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(Error::validation_of_many(self.errors, self.omitted)),
        }
    }
}

/// The JSON Pointers to the strings in a value that contain NUL. An object whose field has NUL in its name counts itself.
fn pointers_to_nul(value: &Value) -> Vec<String> {
    let below = |segment: &str, value: &Value| {
        let pointers = pointers_to_nul(value).into_iter();
        pointers
            .map(|pointer| format!("{segment}{pointer}"))
            .collect::<Vec<_>>()
    };
    match value {
        Value::String(text) if text.contains('\0') => vec![String::new()],
        Value::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(index, item)| below(&format!("/{index}"), item))
            .collect(),
        Value::Object(fields) if fields.keys().any(|name| name.contains('\0')) => vec![String::new()],
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| below(&pointer_segment(name), value))
            .collect(),
        _ => Vec::new(),
    }
}

/// Adds an error for each string with NUL, which PostgreSQL cannot store, in place of what else is wrong with it.
fn refuse_nul<T>(parsed: Result<T, ValueErrors>, with_nul: Vec<String>) -> Result<T, ValueErrors> {
    if with_nul.is_empty() {
        return parsed;
    }
    let mut errors = parsed.err().unwrap_or_default();
    errors.kept.retain(|(pointer, _)| !with_nul.contains(pointer));
    for pointer in with_nul {
        let detail = "Must not contain the character U+0000.";
        errors.push(pointer, Invalid::new(FieldCode::InvalidFormat, detail));
    }
    Err(errors)
}

/// A request type: a struct whose fields are those of a body or the parameters of a query.
pub trait FromFields: Sized {
    /// Takes every field that the type has.
    fn from_fields(fields: &mut Fields) -> Option<Self>;
}

/// Two request types in one query, such as a filter and a [`PageQuery`](super::PageQuery).
impl<A: FromFields, B: FromFields> FromFields for (A, B) {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        // Both are read before either is checked, so that the errors of both are reported.
        let (a, b) = (A::from_fields(fields), B::from_fields(fields));
        Some((a?, b?))
    }
}

/// Declares a request type: a plain struct, and how it is read from [`Fields`].
#[macro_export]
macro_rules! request_type {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty),* $(,)?
    }) => {
        $(#[$meta])*
        $vis struct $name { $($(#[$field_meta])* $field_vis $field: $type),* }

        impl $crate::values::FromFields for $name {
            #[allow(unused_variables, reason = "a request may have no fields")]
            fn from_fields(fields: &mut $crate::values::Fields) -> Option<Self> {
                // `?` comes after all of them are taken, so that the errors of every field are found.
                $(let $field = fields.take::<$type>(stringify!($field));)*
                Some(Self { $($field: $field?),* })
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::ErrorLocation;
    use crate::values::{BoundedInt, Patch};

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

    fn locations(error: &Error) -> Vec<(String, &'static str)> {
        let location = |field: &FieldError| match &field.location {
            ErrorLocation::Pointer(pointer) => pointer.clone(),
            ErrorLocation::Parameter(name) => name.clone(),
        };
        error
            .fields()
            .iter()
            .map(|field| (location(field), field.invalid.code.as_str()))
            .collect()
    }

    #[test]
    fn all_errors_are_reported_at_once() {
        let error = parse(json!({"days": 31, "tags": ["a", 1, "\0"], "a/b": 1}))
            .err()
            .unwrap();
        let expected = [
            ("#/name", "required"),
            ("#/days", "out_of_range"),
            ("#/tags/1", "invalid_type"),
            ("#/tags/2", "invalid_format"),
            ("#/a~1b", "unknown_field"),
        ];
        assert_eq!(
            locations(&error),
            expected.map(|(location, code)| (location.to_owned(), code))
        );
    }

    #[test]
    fn the_error_of_an_array_item_points_to_the_item() {
        let error = parse(json!({"name": "a", "tags": ["a", 1]})).err().unwrap();
        assert_eq!(locations(&error), [("#/tags/1".to_owned(), "invalid_type")]);
    }

    #[test]
    fn of_many_errors_the_first_are_listed_and_all_are_counted() {
        let items = vec![1; 1000];
        let error = parse(json!({"name": "a", "tags": items, "x": 1, "y": 2}))
            .err()
            .unwrap();
        assert_eq!(error.fields().len(), MAX_FIELD_ERRORS);
        assert_eq!(error.detail(), "1002 fields are not valid; the first 50 are listed.");
    }

    #[test]
    fn a_long_name_is_repeated_in_part() {
        let long = "é/".repeat(1000);
        let error = parse(json!({"name": "a", long.clone(): 1})).err().unwrap();
        let expected = format!("#/{}…", "é~1".repeat(MAX_NAME / 2));
        assert_eq!(locations(&error), [(expected, "unknown_field")]);
        let error = Fields::from_query(&format!("name=a&{long}=1"))
            .read::<Sample>()
            .err()
            .unwrap();
        assert_eq!(
            locations(&error),
            [(format!("{}…", "é/".repeat(MAX_NAME / 2)), "unknown_field")]
        );
    }

    #[test]
    fn a_patch_distinguishes_absent_from_null() {
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
    fn integers_may_be_written_as_decimals_and_may_be_out_of_range() {
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
            assert_eq!(locations(&error), [("#/days".to_owned(), code)], "{days}");
        }
        for (query, code) in [
            ("name=a&days=99999999999999999999", "out_of_range"),
            ("name=a&days=-99999999999999999999", "out_of_range"),
            ("name=a&days=%2B5", "invalid_type"),
            ("name=a&days=-", "invalid_type"),
            ("name=a&days=", "invalid_type"),
        ] {
            let error = Fields::from_query(query).read::<Sample>().err().unwrap();
            assert_eq!(locations(&error), [("days".to_owned(), code)], "{query}");
        }
    }
}
