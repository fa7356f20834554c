//! The languages of e-mails and notifications.

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{FieldValue, ValueErrors};
use crate::error::{FieldCode, Invalid};

/// A language of e-mails and notifications, as a BCP 47 tag (RFC 5646).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
pub enum Locale {
    #[default]
    #[serde(rename = "en")]
    En,
    #[serde(rename = "zh-CN")]
    ZhCn,
}

impl Locale {
    pub const ALL: [Self; 2] = [Self::En, Self::ZhCn];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::ZhCn => "zh-CN",
        }
    }

    /// Language tags are case-insensitive (RFC 5646 §2.1.1).
    pub fn of_tag(tag: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|locale| locale.as_str().eq_ignore_ascii_case(tag))
    }

    /// The language of a stored tag; English for one that this version does not have.
    pub fn stored(tag: &str) -> Self {
        Self::of_tag(tag).unwrap_or_default()
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

impl ToSql<Text, Pg> for Locale {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <str as ToSql<Text, Pg>>::to_sql(self.as_str(), out)
    }
}

impl FromSql<Text, Pg> for Locale {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self::stored(std::str::from_utf8(bytes.as_bytes())?))
    }
}
