//! The texts of notifications and e-mails in every language.
//!
//! A language is one TOML file with the texts of every event; each string is a minijinja template. Text that people entered
//! is only inserted as a value and never parsed as a template, and [`clean`] removes characters that would change the text
//! around it.

pub mod clean;
mod filters;

use std::collections::BTreeMap;

use minijinja::{Environment, Error as TemplateError, UndefinedBehavior, Value as TemplateValue};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::event::{Event, NotificationType};
use crate::values::locale::Locale;

const EN: &str = include_str!("en.toml");
const ZH_CN: &str = include_str!("zh-CN.toml");

/// Fields in which people may write several lines.
const MULTILINE_FIELDS: [&str; 3] = ["body", "message", "reason"];

/// An error in a text file.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    #[error("{0}")]
    File(#[from] toml::de::Error),
    #[error("{0}")]
    Template(#[from] TemplateError),
    #[error("{event}: the {part} is missing")]
    Missing { event: String, part: &'static str },
    #[error("{0}: there is no such event")]
    UnknownEvent(String),
    #[error("the event has no fields: {0}")]
    Fields(#[from] serde_json::Error),
}

/// A language file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The format of an instant, in chrono's notation.
    instant: String,
    /// The marks around a name in plain text.
    quotes: (String, String),
    /// Separates a label from its value in plain text.
    colon: String,
    /// Introduces the link that is written out below the button.
    fallback: String,
    /// A note in an e-mail that replaces earlier ones.
    merged: String,
    footer: String,
    roles: BTreeMap<String, String>,
    events: BTreeMap<String, EventTexts>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventTexts {
    /// Of the notification; missing for an event that is only mailed.
    title: Option<String>,
    body: Option<String>,
    email: EmailParts<String>,
}

/// The parts of an e-mail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailParts<T> {
    /// Also the heading of the HTML form.
    pub subject: T,
    /// A paragraph that renders as nothing is left out, as are such details and notes.
    pub paragraphs: Vec<T>,
    /// Labels and values.
    #[serde(default = "Vec::new")]
    pub details: Vec<(T, T)>,
    /// The label of the link.
    pub button: Option<T>,
    /// When the link expires, and what to do if it was not the reader.
    #[serde(default = "Vec::new")]
    pub notes: Vec<T>,
}

/// The name of a compiled template, without its format.
#[derive(Clone, Debug)]
pub struct Template(String);

/// The two forms of a text. minijinja escapes what it inserts into a template whose name ends with `.html`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Plain,
    Html,
}

impl Format {
    const fn extension(self) -> &'static str {
        match self {
            Self::Plain => "txt",
            Self::Html => "html",
        }
    }
}

/// Title and body of a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationText {
    pub title: String,
    pub body: String,
}

/// All texts in all languages, compiled.
pub struct TextCatalog {
    en: Language,
    zh_cn: Language,
}

impl TextCatalog {
    /// Compiles the built-in texts.
    ///
    /// # Errors
    /// An event has no text, or a template doesn't compile.
    pub fn new() -> Result<Self, TextError> {
        // A row that an earlier version wrote may lack a field; it is rendered without the field.
        Self::with(UndefinedBehavior::Lenient)
    }

    fn with(undefined: UndefinedBehavior) -> Result<Self, TextError> {
        Ok(Self {
            en: Language::new(EN, undefined)?,
            zh_cn: Language::new(ZH_CN, undefined)?,
        })
    }

    /// A catalog that rejects a template which names a field that its event doesn't have.
    #[cfg(test)]
    pub fn strict() -> Result<Self, TextError> {
        Self::with(UndefinedBehavior::Strict)
    }

    pub const fn language(&self, locale: Locale) -> &Language {
        match locale {
            Locale::En => &self.en,
            Locale::ZhCn => &self.zh_cn,
        }
    }

    /// The text of a notification. One whose type this version doesn't know gets the type as its title.
    pub fn notification(&self, locale: Locale, notification_type: &str, data: &Value) -> NotificationText {
        let fields = data.as_object().cloned().unwrap_or_default();
        let rendered = self.language(locale).notification(notification_type, fields);
        rendered.unwrap_or_else(|error| {
            tracing::error!(r#type = notification_type, %error, "cannot render a notification");
            NotificationText {
                title: notification_type.to_owned(),
                body: String::new(),
            }
        })
    }
}

/// The texts in one language.
pub struct Language {
    environment: Environment<'static>,
    emails: BTreeMap<String, EmailParts<Template>>,
    pub fallback: Template,
    pub merged: Template,
    pub footer: Template,
    pub colon: String,
}

impl Language {
    fn new(file: &str, undefined: UndefinedBehavior) -> Result<Self, TextError> {
        let file: File = toml::from_str(file)?;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(undefined);
        environment.set_keep_trailing_newline(true);
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.add_template("email.txt", include_str!("email.txt"))?;
        environment.add_template("email.html", include_str!("email.html"))?;
        filters::add(&mut environment, file.instant, file.roles, file.quotes);

        let mut compiler = Compiler { environment };
        let mut texts = file.events;
        let mut emails = BTreeMap::new();
        for name in Event::NAMES {
            let missing = |part| TextError::Missing {
                event: (*name).to_owned(),
                part,
            };
            let text = texts.remove(*name).ok_or_else(|| missing("text"))?;
            if NotificationType::from_name(name).is_some() {
                compiler.add(name, "title", text.title.ok_or_else(|| missing("title"))?)?;
                compiler.add(name, "body", text.body.ok_or_else(|| missing("body"))?)?;
            }
            emails.insert((*name).to_owned(), compiler.add_email(name, text.email)?);
        }
        if let Some(unknown) = texts.into_keys().next() {
            return Err(TextError::UnknownEvent(unknown));
        }
        Ok(Self {
            fallback: compiler.add("email", "fallback", file.fallback)?,
            merged: compiler.add("email", "merged", file.merged)?,
            footer: compiler.add("email", "footer", file.footer)?,
            colon: file.colon,
            environment: compiler.environment,
            emails,
        })
    }

    fn notification(&self, name: &str, fields: Map<String, Value>) -> Result<NotificationText, TextError> {
        let values = TemplateValue::from_serialize(cleaned(fields));
        let part = |part| self.render(&Template(format!("{name}/{part}")), Format::Plain, &values);
        Ok(NotificationText {
            title: part("title")?,
            body: part("body")?,
        })
    }

    /// The parts of the e-mail about an event.
    pub fn email(&self, event: &Event) -> Result<&EmailParts<Template>, TextError> {
        self.emails.get(event.name()).ok_or_else(|| TextError::Missing {
            event: event.name().to_owned(),
            part: "email",
        })
    }

    pub fn render(&self, template: &Template, format: Format, values: &TemplateValue) -> Result<String, TextError> {
        let name = format!("{}.{}", template.0, format.extension());
        let rendered = self.environment.get_template(&name)?.render(values)?;
        Ok(rendered.trim().to_owned())
    }

    /// Renders the page around the parts of an e-mail.
    pub fn render_layout(&self, format: Format, values: &TemplateValue) -> Result<String, TextError> {
        let name = format!("email.{}", format.extension());
        Ok(self.environment.get_template(&name)?.render(values)?)
    }
}

struct Compiler {
    environment: Environment<'static>,
}

impl Compiler {
    fn add(&mut self, event: &str, part: &str, source: String) -> Result<Template, TextError> {
        let name = format!("{event}/{part}");
        for format in [Format::Plain, Format::Html] {
            let name = format!("{name}.{}", format.extension());
            self.environment.add_template_owned(name, source.clone())?;
        }
        Ok(Template(name))
    }

    fn add_email(&mut self, event: &str, email: EmailParts<String>) -> Result<EmailParts<Template>, TextError> {
        let mut count = 0;
        let mut add = |source| {
            count += 1;
            self.add(event, &format!("email {count}"), source)
        };
        Ok(EmailParts {
            subject: add(email.subject)?,
            paragraphs: email.paragraphs.into_iter().map(&mut add).collect::<Result<_, _>>()?,
            details: email
                .details
                .into_iter()
                .map(|(label, value)| Ok((add(label)?, add(value)?)))
                .collect::<Result<_, TextError>>()?,
            button: email.button.map(&mut add).transpose()?,
            notes: email.notes.into_iter().map(&mut add).collect::<Result<_, _>>()?,
        })
    }
}

/// The fields, with control characters removed; line breaks are kept where people may write several lines.
pub fn cleaned(mut fields: Map<String, Value>) -> Map<String, Value> {
    for (name, value) in &mut fields {
        if let Value::String(text) = value {
            *text = if MULTILINE_FIELDS.contains(&name.as_str()) {
                clean::lines(text)
            } else {
                clean::line(text)
            };
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::notifications::event::tests::samples;

    fn notifications(typed: &str) -> impl Iterator<Item = (&'static str, Value)> {
        samples(typed).into_iter().filter_map(|event| {
            let kind = event.notification_type()?;
            Some((kind.as_str(), event.notification_data().unwrap()))
        })
    }

    #[test]
    fn every_notification_has_a_text_in_every_language() {
        let texts = TextCatalog::strict().unwrap();
        for locale in Locale::ALL {
            for (kind, data) in notifications("Ada") {
                let fields = data.as_object().unwrap().clone();
                let text = texts.language(locale).notification(kind, fields);
                let NotificationText { title, body } = text.unwrap_or_else(|error| panic!("{kind}: {error}"));
                for text in [title, body] {
                    assert!(!text.is_empty() && !text.contains("none"), "{text}");
                    assert!(!text.contains("  ") && !text.contains("{{"), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_missing_unknown_or_wrong_text_is_an_error() {
        let error = |file: &str| {
            Language::new(file, UndefinedBehavior::Lenient)
                .err()
                .unwrap()
                .to_string()
        };
        let renamed = EN.replace("[events.email_taken", "[events.email_stolen");
        assert_eq!(error(&renamed), "email_taken: the text is missing");
        let added = format!("{EN}\n[events.moon_landing.email]\nsubject = \"\"\nparagraphs = []\n");
        assert_eq!(error(&added), "moon_landing: there is no such event");
        let title = r#"title = "Invitation to {{ org_name }}""#;
        assert_eq!(error(&EN.replace(title, "")), "org_invitation: the title is missing");
        assert!(error(&EN.replace(title, r#"title = "{{""#)).contains("syntax error"));
    }

    #[test]
    fn typed_text_is_neither_a_template_nor_markup() {
        let texts = TextCatalog::new().unwrap();
        let typed = "{{ 7*7 }}<b>&amp;\u{202e}\r\nx";
        for (kind, data) in notifications(typed) {
            for locale in Locale::ALL {
                let NotificationText { title, body } = texts.notification(locale, kind, &data);
                for text in [&title, &body] {
                    assert!(!text.contains("49") && !text.contains("&lt;"), "{text}");
                    assert!(!text.contains(['\u{202e}', '\r']), "{text}");
                }
                assert!(!title.contains('\n'), "{title}");
            }
        }
        let text = texts.notification(Locale::En, "org_invitation", &json!({"org_name": typed}));
        assert_eq!(text.title, "Invitation to {{ 7*7 }}<b>&amp;  x");
    }

    #[test]
    fn a_notification_of_another_version_is_still_shown() {
        let texts = TextCatalog::new().unwrap();
        let unknown_type = texts.notification(Locale::En, "moon_landing", &json!({}));
        assert_eq!((&*unknown_type.title, &*unknown_type.body), ("moon_landing", ""));
        let missing_field = texts.notification(Locale::En, "org_invitation", &json!({}));
        assert_eq!(missing_field.title, "Invitation to");
    }
}
