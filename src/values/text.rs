//! Rules for text that several slices share, and the macro that declares a text type.

use crate::error::{FieldCode, Invalid};

pub fn code_points(text: &str) -> usize {
    text.chars().count()
}

/// Control characters, bidirectional formatting (Unicode Standard Annex #9), line separators and zero-width characters: they
/// are invisible, or change how the text around them is displayed. Joiners (U+200C, U+200D) are needed by some scripts.
fn is_invisible_formatting(c: char) -> bool {
    matches!(c,
        '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        | '\u{2028}' | '\u{2029}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
        || c.is_control()
}

fn contains_formatting() -> Invalid {
    Invalid::new(
        FieldCode::InvalidFormat,
        "Must not contain control characters or invisible formatting characters.",
    )
}

/// Checks one line of text for display, such as a name; the text is not changed.
///
/// # Errors
/// `invalid_format` for formatting characters, or spaces only.
pub fn clean_line(text: String) -> Result<String, Invalid> {
    if text.chars().any(is_invisible_formatting) {
        Err(contains_formatting())
    } else if !text.is_empty() && text.trim().is_empty() {
        Err(Invalid::new(
            FieldCode::InvalidFormat,
            "Must not consist of spaces only.",
        ))
    } else {
        Ok(text)
    }
}

/// Checks text for display that may have line breaks and tabs; the text is not changed.
///
/// # Errors
/// `invalid_format` for other formatting characters.
pub fn clean_text(text: String) -> Result<String, Invalid> {
    let allowed = |c| matches!(c, '\n' | '\r' | '\t');
    if text.chars().any(|c| is_invisible_formatting(c) && !allowed(c)) {
        Err(contains_formatting())
    } else {
        Ok(text)
    }
}

/// The LIKE pattern of texts that contain `text` literally.
pub fn like_pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '\\' | '%' | '_') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// Checks a length, in Unicode code points.
///
/// # Errors
/// `too_short` or `too_long`, with the limit.
pub fn check_length(text: &str, min: usize, max: usize) -> Result<(), Invalid> {
    let length = code_points(text);
    if length < min {
        let detail = format!("Use at least {min} {}.", characters(min));
        Err(Invalid::new(FieldCode::TooShort, detail).with("min", min))
    } else if length > max {
        Err(too_long(max))
    } else {
        Ok(())
    }
}

const fn characters(limit: usize) -> &'static str {
    if limit == 1 { "character" } else { "characters" }
}

/// The error of a text with more than `max` code points.
pub fn too_long(max: usize) -> Invalid {
    let detail = format!("Use at most {max} {}.", characters(max));
    Invalid::new(FieldCode::TooLong, detail).with("max", max)
}

/// Declares a text type by its limits in code points and a function that rejects or normalises the text. The check, the error
/// message and the OpenAPI schema use the same limits.
#[macro_export]
macro_rules! text_type {
    ($(#[$meta:meta])* $vis:vis struct $name:ident($min:literal..=$max:literal) by $rule:path $(, format $format:literal)? $(, pattern $pattern:literal)? $(, example $example:literal)?) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        $vis struct $name(String);

        #[allow(dead_code, reason = "no type uses all of these")]
        impl $name {
            pub const MIN: usize = $min;
            pub const MAX: usize = $max;

            pub fn as_str(&self) -> &str {
                &self.0
            }

            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::error::Invalid;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                // The rule may be slow and may shorten a text, though not to a quarter.
                $crate::values::check_length(&text, 0, 4 * Self::MAX).map_err(|_| $crate::values::too_long(Self::MAX))?;
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
