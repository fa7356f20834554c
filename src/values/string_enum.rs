//! Members that are one of a few words.

/// Declares an enum whose values are words (`lower_snake`), in JSON and in the database; the first is the least, and the
/// one a stored word is read as that this version does not know.
#[macro_export]
macro_rules! string_enum {
    (@first $first:ident $($rest:ident)*) => { Self::$first };
    ($(#[doc = $text:literal])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident $word:literal,)+ }) => {
        $(#[doc = $text])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[derive(diesel::FromSqlRow, diesel::AsExpression)]
        #[diesel(sql_type = diesel::sql_types::Text)]
        $vis enum $name { $($(#[$doc])* #[serde(rename = $word)] $variant,)+ }

        #[allow(dead_code, reason = "not every word is stored")]
        impl $name {
            const LEAST: Self = $crate::string_enum!(@first $($variant)+);

            /// Every value, the least first.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word in JSON and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The value of a word.
            pub fn from_name(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }

            /// The value of a stored word.
            pub fn stored(word: &str) -> Self {
                Self::from_name(word).unwrap_or(Self::LEAST)
            }
        }

        impl diesel::serialize::ToSql<diesel::sql_types::Text, diesel::pg::Pg> for $name {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, diesel::pg::Pg>,
            ) -> diesel::serialize::Result {
                <str as diesel::serialize::ToSql<diesel::sql_types::Text, diesel::pg::Pg>>::to_sql(self.as_str(), out)
            }
        }

        // A value that a newer version of the program wrote is read as the first, which is the least.
        impl diesel::deserialize::FromSql<diesel::sql_types::Text, diesel::pg::Pg> for $name {
            fn from_sql(bytes: diesel::pg::PgValue<'_>) -> diesel::deserialize::Result<Self> {
                let text = std::str::from_utf8(bytes.as_bytes())?;
                Ok(Self::stored(text))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        // By hand: the derive does not see a rename that a macro made, and would list the names of the variants.
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::Type::String)
                    .description(Some([$($text.trim()),*].join(" ")))
                    .enum_values(Some([$($word),+]))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}

        impl $crate::values::FieldValue for $name {
            fn parse(value: serde_json::Value) -> Result<Self, $crate::values::ValueErrors> {
                let word = <String as $crate::values::FieldValue>::parse(value)?;
                Self::from_name(&word).ok_or_else(|| {
                    let words: Vec<&str> = Self::ALL.iter().map(|value| value.as_str()).collect();
                    let detail = format!("Must be one of {}.", words.join(", "));
                    $crate::error::Invalid::new($crate::error::FieldCode::NotAllowed, detail).with("allowed", words).into()
                })
            }
        }
    };
}

pub use string_enum;
