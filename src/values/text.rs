//! Rules of text that all slices share, and the macro that makes a type of one.

use crate::error::{FieldCode, Invalid};

/// How long a text is for people: in Unicode code points.
pub fn code_points(text: &str) -> usize {
    text.chars().count()
}

/// Whether `c` steers rather than shows: controls, and the marks that reverse or hide what stands beside them
/// (Unicode Standard Annex #9, bidirectional formatting; zero-width characters other than joiners, which scripts need).
fn steers(c: char) -> bool {
    matches!(c,
        '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        | '\u{2028}' | '\u{2029}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
        || c.is_control()
}

fn refused() -> Invalid {
    Invalid::new(
        FieldCode::InvalidFormat,
        "Must not contain control characters or be blank.",
    )
}

/// One line that people read, such as a name: nothing that steers, not blank; carried as it is.
///
/// # Errors
/// `invalid_format`.
pub fn clean_line(text: String) -> Result<String, Invalid> {
    if text.chars().any(steers) || (!text.is_empty() && text.trim().is_empty()) {
        Err(refused())
    } else {
        Ok(text)
    }
}

/// Text that people read, line breaks and tabs included.
///
/// # Errors
/// `invalid_format`.
pub fn clean_text(text: String) -> Result<String, Invalid> {
    if text.chars().any(|c| steers(c) && !matches!(c, '\n' | '\r' | '\t')) {
        Err(refused())
    } else {
        Ok(text)
    }
}

/// Checks a length in code points.
///
/// # Errors
/// `too_short` or `too_long`, with the limit.
pub fn check_length(text: &str, min: usize, max: usize) -> Result<(), Invalid> {
    let length = code_points(text);
    if length < min {
        Err(Invalid::new(FieldCode::TooShort, format!("Use at least {min} characters.")).with("min", min))
    } else if length > max {
        Err(Invalid::new(FieldCode::TooLong, format!("Use at most {max} characters.")).with("max", max))
    } else {
        Ok(())
    }
}

/// Declares a type of text: its limits (in code points), and the function that refuses or normalises it. Check, message
/// and schema share the limits.
#[macro_export]
macro_rules! text_type {
    ($(#[$meta:meta])* $vis:vis struct $name:ident($min:literal..=$max:literal) by $rule:path $(, format $format:literal)? $(, pattern $pattern:literal)? $(, example $example:literal)?) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        $vis struct $name(String);

        #[allow(dead_code, reason = "not every text is looked into")]
        impl $name {
            /// Fewest code points.
            pub const MIN: usize = $min;
            /// Most code points.
            pub const MAX: usize = $max;

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, given away.
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::error::Invalid;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                let text = $rule(text)?;
                $crate::values::check_length(&text, Self::MIN, Self::MAX)?;
                Ok(Self(text))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl $crate::values::FieldValue for $name {
            fn parse(value: serde_json::Value) -> Result<Self, $crate::values::ValueErrors> {
                Ok(Self::try_from(String::parse(value)?)?)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::Type::String)
                    .min_length(Some(Self::MIN))
                    .max_length(Some(Self::MAX))
                    $(.format(Some(utoipa::openapi::SchemaFormat::Custom($format.to_owned()))))?
                    $(.pattern(Some($pattern)))?
                    $(.examples([$example]))?
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}
