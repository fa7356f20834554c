//! Instants as clients see them.

use chrono::{DateTime, Datelike as _, SubsecRound as _, Timelike as _, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

use super::fields::{FieldValue, ValueErrors};
use crate::error::{FieldCode, Invalid};

/// An instant: RFC 3339, UTC, `Z`, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub DateTime<Utc>);

impl From<DateTime<Utc>> for Timestamp {
    fn from(instant: DateTime<Utc>) -> Self {
        Self(instant)
    }
}

/// The length of `2030-01-31T12:00:00.000Z`.
const LENGTH: usize = 24;

impl Timestamp {
    /// Its text, digit by digit: a list shows a hundred, which would take longer to format than to read from the database.
    fn write(self, text: &mut [u8; LENGTH]) -> &str {
        *text = *b"0000-00-00T00:00:00.000Z";
        let (date, time) = (self.0.date_naive(), self.0.time());
        let mut put = |end: usize, mut number: u32| {
            for digit in text.iter_mut().take(end).rev() {
                if number == 0 {
                    break;
                }
                *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
                number /= 10;
            }
        };
        put(4, date.year().unsigned_abs().min(9999));
        put(7, date.month());
        put(10, date.day());
        put(13, time.hour());
        put(16, time.minute());
        put(19, time.second());
        put(23, self.0.timestamp_subsec_millis().min(999));
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.write(&mut [0; LENGTH]))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.write(&mut [0; LENGTH]))
    }
}

impl FieldValue for Timestamp {
    fn parse(value: Value) -> Result<Self, ValueErrors> {
        let text = String::parse(value)?;
        DateTime::parse_from_rfc3339(&text)
            .ok()
            .map(|instant| instant.with_timezone(&Utc).trunc_subsecs(3))
            .filter(|instant| (1..=9999).contains(&instant.year()))
            .map(Self)
            .ok_or_else(|| Invalid::new(FieldCode::InvalidFormat, "Use RFC 3339, such as 2030-01-31T12:00:00Z.").into())
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .examples(["2030-01-31T12:00:00.000Z"])
            .into()
    }
}

impl utoipa::ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use chrono::{SecondsFormat, TimeDelta};

    use super::*;

    #[test]
    fn the_text_is_that_of_rfc_3339() {
        let mut instant = DateTime::from_timestamp_millis(-62_135_596_800_000).unwrap();
        while instant.year() < 10_000 {
            let expected = instant.to_rfc3339_opts(SecondsFormat::Millis, true);
            assert_eq!(Timestamp(instant).to_string(), expected);
            assert_eq!(serde_json::to_value(Timestamp(instant)).unwrap(), expected);
            instant += TimeDelta::milliseconds(10_000_000_019);
        }
    }
}
