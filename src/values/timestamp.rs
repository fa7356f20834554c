//! Instants in requests and responses.

use chrono::{DateTime, Datelike as _, SecondsFormat, SubsecRound as _, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

use super::{FieldValue, ValueErrors};
use crate::error::{FieldCode, Invalid};

/// An instant, written as RFC 3339 in UTC with milliseconds: `2030-01-31T12:00:00.000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub DateTime<Utc>);

impl From<DateTime<Utc>> for Timestamp {
    fn from(instant: DateTime<Utc>) -> Self {
        Self(instant)
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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
            .ok_or_else(|| {
                Invalid::new(
                    FieldCode::InvalidFormat,
                    "Use an RFC 3339 timestamp, such as 2030-01-31T12:00:00Z.",
                )
                .into()
            })
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
