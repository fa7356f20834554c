//! JSON (RFC 8259), strictly: a member given twice is an error, where most parsers silently take the last.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use crate::error::{Code, Error};

/// Reads one JSON text, which is to be an object; `None` when it is something else.
///
/// # Errors
/// `malformed_json`; the detail says where, without repeating what was sent.
pub fn parse_object(bytes: &[u8]) -> Result<Option<BTreeMap<String, Value>>, Error> {
    if let Ok(StrictObject(members)) = serde_json::from_slice(bytes) {
        return Ok(Some(members));
    }
    match serde_json::from_slice::<Strict>(bytes) {
        Ok(_) => Ok(None),
        Err(error) => {
            let detail = format!(
                "The body is not well-formed JSON at line {}, column {}.",
                error.line(),
                error.column()
            );
            Err(Error::with_detail(Code::MalformedJson, detail))
        }
    }
}

/// The few members of a request, which are taken out by their names: no hash is needed to find one.
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
        let mut members = BTreeMap::new();
        while let Some((name, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is given twice"));
            }
        }
        Ok(members)
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
        let members = ObjectVisitor.visit_map(entries)?;
        Ok(Value::Object(members.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parse_object;

    #[test]
    fn a_member_given_twice_is_refused_at_any_depth() {
        let members = parse_object(br#"{"b": {"c": [1, 2.5, "x", null, true]}, "a": 1}"#);
        let expected = [("a", json!(1)), ("b", json!({"c": [1, 2.5, "x", null, true]}))];
        let expected = expected.map(|(name, value)| (name.to_owned(), value)).into();
        assert_eq!(members.unwrap(), Some(expected));
        assert!(parse_object(br#"{"a": 1, "a": 1}"#).is_err());
        assert!(parse_object(br#"{"a": [{"b": 1, "b": 2}]}"#).is_err());
        assert!(parse_object(br#"{"a": 1, "\u0061": 1}"#).is_err());
        assert!(parse_object(br#"[{"a": 1, "a": 1}]"#).is_err());
    }

    #[test]
    fn what_is_no_object_is_told_apart_from_what_is_not_json() {
        for text in ["null", "true", "-1", "1.5e3", "\"a\"", "[]", "[{}, [1]]", " [1] "] {
            assert_eq!(parse_object(text.as_bytes()).unwrap(), None, "{text}");
        }
        for text in ["[1", "nul", "\"a", "1 2", "[] {}"] {
            assert!(parse_object(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            "{",
            "{\"a\": \"\\ud800\"}",
            "{\"a\": 1} x",
            "{'a': 1}",
            "\u{feff}{}",
        ] {
            assert!(parse_object(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse_object("[".repeat(10_000).as_bytes()).is_err());
        assert!(parse_object(b"{\"a\": \"\xff\"}").is_err());
    }
}
