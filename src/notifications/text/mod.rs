//! From a notification's data to its words.
//!
//! Each language is one TOML file that says title and body of every type once. What people typed only ever enters as a
//! value: it is never read as a template, and what would steer the text around it is taken out.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use minijinja::{Environment, Error as TemplateError, ErrorKind, UndefinedBehavior};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::notifications::email::clean;
use crate::values::locale::Locale;

const EN: &str = include_str!("en.toml");
const ZH_CN: &str = include_str!("zh-CN.toml");

/// The languages, ready for use.
pub struct Words {
    en: Language,
    zh_cn: Language,
}

struct Language(Environment<'static>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Texts {
    /// How an instant is written, in chrono's notation.
    instant: String,
    /// What the roles are called.
    roles: BTreeMap<String, String>,
    /// A text for each type.
    types: BTreeMap<String, Text>,
}

/// Both are templates.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    title: String,
    body: String,
}

impl Words {
    /// Reads all languages.
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            en: Language::new(EN, UndefinedBehavior::Lenient)?,
            zh_cn: Language::new(ZH_CN, UndefinedBehavior::Lenient)?,
        })
    }

    /// Title and body of a notification. One of a type that this version does not know is called by the name of its type.
    pub fn of(&self, locale: Locale, kind: &str, data: &Value) -> (String, String) {
        let language = match locale {
            Locale::En => &self.en,
            Locale::ZhCn => &self.zh_cn,
        };
        let values = cleaned(data);
        let part = |name: &str| language.render(kind, name, &values);
        match (part("title"), part("body")) {
            (Ok(title), Ok(body)) => (title, body),
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(kind, %error, "a notification cannot be put into words");
                (kind.to_owned(), String::new())
            }
        }
    }
}

impl Language {
    fn new(file: &str, undefined: UndefinedBehavior) -> Result<Self, Error> {
        let texts: Texts = toml::from_str(file).map_err(Error::internal)?;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(undefined);
        let Texts { instant, roles, types } = texts;
        environment.add_filter("instant", move |at: &str| -> Result<String, TemplateError> {
            let at: DateTime<Utc> = at
                .parse()
                .map_err(|_| TemplateError::new(ErrorKind::InvalidOperation, "not an instant"))?;
            Ok(at.format(&instant).to_string())
        });
        environment.add_filter("role", move |role: String| roles.get(&role).cloned().unwrap_or(role));
        for (kind, Text { title, body }) in types {
            for (part, source) in [("title", title), ("body", body)] {
                environment
                    .add_template_owned(format!("{kind}.{part}"), source)
                    .map_err(Error::internal)?;
            }
        }
        Ok(Self(environment))
    }

    fn render(&self, kind: &str, part: &str, values: &Map<String, Value>) -> Result<String, TemplateError> {
        let rendered = self.0.get_template(&format!("{kind}.{part}"))?.render(values)?;
        Ok(rendered.trim().to_owned())
    }
}

/// The data, with what steers text taken out; line breaks stay where people may write several lines.
fn cleaned(data: &Value) -> Map<String, Value> {
    let mut values = data.as_object().cloned().unwrap_or_default();
    for (name, value) in &mut values {
        if let Value::String(text) = value {
            let keeps_lines = matches!(name.as_str(), "body" | "reason" | "message");
            *text = clean::text(text, keeps_lines);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::notifications::model::NotificationType;

    /// Every datum of every type, hostile throughout.
    fn data(hostile: &str) -> Value {
        json!({
            "org_id": "o", "org_name": hostile, "role": "admin", "invited_by": hostile, "person": hostile,
            "message": hostile, "approved": true, "reason": hostile, "new_email": hostile, "old_email": hostile,
            "expires_at": "2030-01-31T12:00:00.000Z", "name": hostile, "hint": "kw_abcd", "days": 7,
            "user_agent": hostile, "ip": "192.0.2.1", "title": hostile, "body": hostile,
        })
    }

    #[test]
    fn every_type_has_words_in_every_language_and_names_only_what_there_is() {
        for file in [EN, ZH_CN] {
            let strict = Language::new(file, UndefinedBehavior::Strict).unwrap();
            let texts: Texts = toml::from_str(file).unwrap();
            assert_eq!(texts.types.len(), NotificationType::ALL.len());
            for kind in NotificationType::ALL {
                for part in ["title", "body"] {
                    for values in [data("Ada"), {
                        let mut bare = data("Ada");
                        for name in ["invited_by", "message", "reason", "user_agent"] {
                            bare[name] = Value::Null;
                        }
                        bare["approved"] = false.into();
                        bare
                    }] {
                        let text = strict.render(kind.as_str(), part, values.as_object().unwrap());
                        let text = text.unwrap_or_else(|error| panic!("{kind} {part}: {error}"));
                        assert!(
                            !text.is_empty() && !text.contains("none") && !text.contains("  "),
                            "{text}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_people_typed_is_never_a_template_nor_markup_nor_steers_the_text() {
        let words = Words::new().unwrap();
        let hostile = "{{ 7*7 }}<b>&amp;\u{202e}\r\nx";
        for kind in NotificationType::ALL {
            for locale in Locale::ALL {
                let (title, body) = words.of(locale, kind.as_str(), &data(hostile));
                for text in [&title, &body] {
                    assert!(
                        !text.contains("49") && !text.contains('\u{202e}') && !text.contains('\r'),
                        "{text}"
                    );
                    assert!(!text.contains("&lt;"), "{text}");
                }
                assert!(!title.contains('\n'), "{title}");
            }
        }
        let (title, _) = words.of(Locale::En, "org_invitation", &data(hostile));
        assert_eq!(title, "Invitation to {{ 7*7 }}<b>&amp;  x");
    }

    #[test]
    fn a_type_of_a_later_version_is_shown_by_its_name() {
        let words = Words::new().unwrap();
        let shown = words.of(Locale::En, "moon_landing", &json!({}));
        assert_eq!(shown, ("moon_landing".to_owned(), String::new()));
        // Data of an earlier version may lack a member.
        assert_eq!(words.of(Locale::En, "org_invitation", &json!({})).0, "Invitation to");
    }
}
