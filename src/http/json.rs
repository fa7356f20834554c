//! Strict JSON (RFC 8259): a duplicate name in an object is an error, where `serde_json::Value` silently keeps the last one.
//! A proxy that checks one of the two values, while this service uses the other, would let a forbidden request pass.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use crate::error::{Code, Error};

/// Parses a JSON object; `None` for any other JSON value. A byte order mark before it is ignored (RFC 8259 §8.1): some editors
/// and platforms write one.
///
/// # Errors
/// `malformed_json`; the detail names line and column and does not repeat the body, which may contain a password.
pub fn parse_object(bytes: &[u8]) -> Result<Option<BTreeMap<String, Value>>, Error> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if let Ok(StrictObject(fields)) = serde_json::from_slice(bytes) {
        return Ok(Some(fields));
    }
    match serde_json::from_slice::<Strict>(bytes) {
        Ok(_) => Ok(None),
        Err(error) => {
            let detail = format!(
                "The body is not well-formed JSON, or contains a field twice: see line {}, column {}.",
                error.line(),
                error.column()
            );
            Err(Error::with_detail(Code::MalformedJson, detail))
        }
    }
}

/// A `BTreeMap`, because errors about unknown fields are then in a fixed order.
struct StrictObject(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for StrictObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor).map(Self)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = BTreeMap<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some((name, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if fields.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate name in an object"));
            }
        }
        Ok(fields)
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Value, A::Error> {
        let fields = ObjectVisitor.visit_map(entries)?;
        Ok(Value::Object(fields.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parse_object;

    #[test]
    fn a_duplicate_name_is_an_error_at_any_depth() {
        let fields = parse_object(br#"{"b": {"c": [1, 2.5, "x", null, true]}, "a": 1}"#);
        let expected = [("a", json!(1)), ("b", json!({"c": [1, 2.5, "x", null, true]}))];
        let expected = expected.map(|(name, value)| (name.to_owned(), value)).into();
        assert_eq!(fields.unwrap(), Some(expected));
        assert!(parse_object(br#"{"a": 1, "a": 1}"#).is_err());
        assert!(parse_object(br#"{"a": [{"b": 1, "b": 2}]}"#).is_err());
        assert!(parse_object(br#"{"a": 1, "\u0061": 1}"#).is_err());
        assert!(parse_object(br#"[{"a": 1, "a": 1}]"#).is_err());
    }

    #[test]
    fn a_json_value_that_is_not_an_object_is_not_malformed() {
        for text in ["null", "true", "-1", "1.5e3", "\"a\"", "[]", "[{}, [1]]", " [1] "] {
            assert_eq!(parse_object(text.as_bytes()).unwrap(), None, "{text}");
        }
        for text in ["[1", "nul", "\"a", "1 2", "[] {}"] {
            assert!(parse_object(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_byte_order_mark_before_the_object_is_ignored() {
        let fields = parse_object("\u{feff}{\"a\": 1}".as_bytes()).unwrap().unwrap();
        assert_eq!(fields["a"], 1);
    }

    #[test]
    fn malformed_json_is_an_error() {
        for text in [
            "",
            "{",
            "{\"a\": \"\\ud800\"}",
            "{\"a\": 1} x",
            "{'a': 1}",
            "\u{feff}\u{feff}{}",
            "{}\u{feff}",
        ] {
            assert!(parse_object(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse_object("[".repeat(10_000).as_bytes()).is_err());
        assert!(parse_object(b"{\"a\": \"\xff\"}").is_err());
    }
}
