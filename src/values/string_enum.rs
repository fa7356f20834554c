//! Enums that are strings in JSON and in the database.

/// Declares an enum whose values are `lower_snake` strings in JSON and in the database. Its order is that of the declaration.
///
/// The first value must be the one with the fewest permissions: a stored string that this version of the program does not
/// know is read as that value. (During a rolling update a newer version may have written it.)
#[macro_export]
macro_rules! string_enum {
    (@first $first:ident $($rest:ident)*) => { Self::$first };
    ($(#[doc = $text:literal])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident $string:literal,)+ }) => {
        $(#[doc = $text])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[derive(diesel::FromSqlRow, diesel::AsExpression)]
        #[diesel(sql_type = diesel::sql_types::Text)]
        $vis enum $name { $($(#[$doc])* #[serde(rename = $string)] $variant,)+ }

        #[allow(dead_code, reason = "not every enum is stored, or listed")]
        impl $name {
            const FALLBACK: Self = $crate::string_enum!(@first $($variant)+);

            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $string,)+ }
            }

            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == name)
            }

            pub fn stored(name: &str) -> Self {
                Self::from_name(name).unwrap_or(Self::FALLBACK)
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

        impl diesel::deserialize::FromSql<diesel::sql_types::Text, diesel::pg::Pg> for $name {
            fn from_sql(bytes: diesel::pg::PgValue<'_>) -> diesel::deserialize::Result<Self> {
                Ok(Self::stored(std::str::from_utf8(bytes.as_bytes())?))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        // utoipa's derive ignores `#[serde(rename)]` with a macro variable and would list the variants' Rust names.
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::Type::String)
                    .description(Some([$($text.trim()),*].join(" ")))
                    .enum_values(Some([$($string),+]))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}

        impl $crate::values::FieldValue for $name {
            fn parse(value: serde_json::Value) -> Result<Self, $crate::values::ValueErrors> {
                let name = <String as $crate::values::FieldValue>::parse(value)?;
                Self::from_name(&name).ok_or_else(|| {
                    let names: Vec<&str> = Self::ALL.iter().map(|value| value.as_str()).collect();
                    let detail = format!("Must be one of {}.", names.join(", "));
                    $crate::error::Invalid::new($crate::error::FieldCode::NotAllowed, detail).with("allowed", names).into()
                })
            }
        }
    };
}

pub use string_enum;
