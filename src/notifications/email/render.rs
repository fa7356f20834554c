//! From a [`Message`] to the words of a mail.
//!
//! Each language is one TOML file that says every mail once: subject, paragraphs, a table of details, the label of the
//! button, notes. The plain text and the HTML are both made from it, by one layout each. What people typed only ever
//! enters as a value: it is cleaned first, escaped in HTML, and never read as a template.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use minijinja::{AutoEscape, Environment, HtmlEscape, State, UndefinedBehavior, Value, context};
use serde::Deserialize;
use serde_json::Value as Json;

use super::clean;
use super::message::Message;
use crate::values::locale::Locale;

const EN: &str = include_str!("templates/en.toml");
const ZH_CN: &str = include_str!("templates/zh-CN.toml");
const LAYOUT_TEXT: &str = include_str!("templates/layout.txt");
const LAYOUT_HTML: &str = include_str!("templates/layout.html");

/// A subject longer than this is cut; mail clients show less.
const LONGEST_SUBJECT: usize = 150;

/// Why a mail could not be put into words: a template is wrong.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A language file cannot be read.
    #[error("language file: {0}")]
    Language(#[from] toml::de::Error),
    /// A template does not compile, or asks for what is not there.
    #[error("template: {0}")]
    Template(#[from] minijinja::Error),
    /// The message cannot be turned into values.
    #[error("message: {0}")]
    Message(#[from] serde_json::Error),
    /// A language file does not have this kind of mail.
    #[error("no text for {0}")]
    Missing(String),
}

/// What a mail says that is not in its message.
pub struct Frame<'a> {
    /// What the service is called.
    pub service: &'a str,
    /// To whom the mail goes.
    pub recipient: &'a str,
    /// The one link, where there is one.
    pub link: Option<&'a str>,
}

/// A mail in words. It may hold a token, so it has no `Debug`.
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// The plain text; lines end with LF.
    pub text: String,
    /// The same as an HTML document.
    pub html: String,
}

/// The languages, ready for use.
pub struct Templates {
    en: Language,
    zh_cn: Language,
}

struct Language {
    texts: Texts,
    environment: Environment<'static>,
}

/// A language file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Texts {
    /// How an instant is written, in chrono's notation.
    instant: String,
    /// What a name stands between in plain text.
    quotes: (String, String),
    /// What stands between a label and its value in plain text.
    colon: String,
    /// Stands above the link that is spelt out below the button.
    fallback: String,
    /// The last line.
    footer: String,
    /// What the roles are called.
    roles: BTreeMap<String, String>,
    /// A text for each kind of message.
    mails: BTreeMap<String, Text>,
}

/// One mail in one language. Every string is a template.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    /// The subject, and the heading of the HTML.
    subject: String,
    /// What happened. One that comes out empty is left out.
    paragraphs: Vec<String>,
    /// Labels and values; a row whose value comes out empty is left out.
    #[serde(default)]
    details: Vec<(String, String)>,
    /// What the link does.
    button: Option<String>,
    /// Until when it works, and what to do if it was not you.
    #[serde(default)]
    notes: Vec<String>,
}

impl Templates {
    /// Reads all languages.
    pub fn new() -> Result<Self, RenderError> {
        Ok(Self {
            en: Language::new(EN)?,
            zh_cn: Language::new(ZH_CN)?,
        })
    }

    /// Puts `message` into words.
    pub fn render(&self, locale: Locale, message: &Message, frame: &Frame<'_>) -> Result<Rendered, RenderError> {
        let language = match locale {
            Locale::En => &self.en,
            Locale::ZhCn => &self.zh_cn,
        };
        language.render(locale, message, frame)
    }
}

impl Language {
    fn new(file: &str) -> Result<Self, RenderError> {
        let texts: Texts = toml::from_str(file)?;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_keep_trailing_newline(true);
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.add_template("layout.txt", LAYOUT_TEXT)?;
        environment.add_template("layout.html", LAYOUT_HTML)?;

        let format = texts.instant.clone();
        environment.add_filter("instant", move |instant: &str| -> Result<String, minijinja::Error> {
            let instant: DateTime<Utc> = instant
                .parse()
                .map_err(|_| minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, "not an instant"))?;
            Ok(instant.format(&format).to_string())
        });
        let roles = texts.roles.clone();
        environment.add_filter("role", move |role: String| roles.get(&role).cloned().unwrap_or(role));
        let quotes = Arc::new(texts.quotes.clone());
        environment.add_filter("name", move |state: &State<'_, '_>, name: &str| {
            let (before, after) = &*quotes;
            marked(state, name, ("<strong dir=\"auto\">", "</strong>"), (before, after))
        });
        environment.add_filter("lines", lines);
        environment.add_filter("quote", quote);
        Ok(Self { texts, environment })
    }

    fn render(&self, locale: Locale, message: &Message, frame: &Frame<'_>) -> Result<Rendered, RenderError> {
        let (kind, values) = values(locale, message, frame)?;
        let text = self.texts.mails.get(&kind).ok_or(RenderError::Missing(kind))?;
        let subject = self
            .environment
            .render_named_str("subject.txt", &text.subject, &values)?;
        Ok(Rendered {
            subject: clean::subject(&subject, LONGEST_SUBJECT),
            text: self.lay_out("txt", text, &context! { link => frame.link, ..values.clone() })?,
            html: self.lay_out(
                "html",
                text,
                &context! { link => frame.link.map(url_in_html), ..values },
            )?,
        })
    }

    /// Renders each string of `text`, then the layout around them. By the names that end with `.html`, minijinja knows
    /// what to escape.
    fn lay_out(&self, format: &str, text: &Text, values: &Value) -> Result<String, RenderError> {
        let name = format!("part.{format}");
        let part = |source: &str| -> Result<Value, RenderError> {
            let rendered = self.environment.render_named_str(&name, source, values)?;
            // Escaped already, by its own rendering.
            Ok(Value::from_safe_string(rendered.trim().to_owned()))
        };
        let parts = |sources: &[String]| -> Result<Vec<Value>, RenderError> {
            let mut rendered = Vec::new();
            for source in sources {
                rendered.push(part(source)?);
            }
            rendered.retain(Value::is_true);
            Ok(rendered)
        };
        let mut details = Vec::new();
        for (label, value) in &text.details {
            let (label, value) = (part(label)?, part(value)?);
            if value.is_true() {
                details.push(context! { label, value });
            }
        }
        let layout = self.environment.get_template(&format!("layout.{format}"))?;
        let rendered = layout.render(context! {
            heading => part(&text.subject)?,
            paragraphs => parts(&text.paragraphs)?,
            details,
            button => text.button.as_deref().map(part).transpose()?,
            notes => parts(&text.notes)?,
            fallback => part(&self.texts.fallback)?,
            footer => part(&self.texts.footer)?,
            colon => &self.texts.colon,
            ..values.clone()
        })?;
        Ok(rendered)
    }
}

/// The kind of `message`, and all that templates can speak of.
fn values(locale: Locale, message: &Message, frame: &Frame<'_>) -> Result<(String, Value), RenderError> {
    let mut fields = match serde_json::to_value(message)? {
        Json::Object(fields) => fields,
        _ => serde_json::Map::new(),
    };
    for (name, value) in &mut fields {
        if let Json::String(text) = value {
            let keeps_lines = matches!(name.as_str(), "body" | "reason");
            *text = clean::text(text, keeps_lines);
        }
    }
    let kind = fields.get("kind").and_then(Json::as_str).unwrap_or_default().to_owned();
    let lifetime = message.link().map(|(link, _)| link.lifetime()).unwrap_or_default();
    let values = context! {
        language => locale.as_str(),
        service => clean::text(frame.service, false),
        recipient => clean::text(frame.recipient, false),
        minutes => lifetime.num_minutes(),
        hours => lifetime.num_hours(),
        days_to_act => lifetime.num_days(),
        ..Value::from_serialize(&fields)
    };
    Ok((kind, values))
}

/// A URL as an HTML attribute and text. minijinja's own escaping also turns slashes into references, which is harmless
/// to browsers but breaks the link for simpler readers.
fn url_in_html(url: &str) -> Value {
    let escaped = url
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;");
    Value::from_safe_string(escaped)
}

/// `text` between `tags` in HTML, between `marks` in plain text.
fn marked(state: &State<'_, '_>, text: &str, tags: (&str, &str), marks: (&str, &str)) -> Value {
    if matches!(state.auto_escape(), AutoEscape::Html) {
        Value::from_safe_string(format!("{}{}{}", tags.0, HtmlEscape(text), tags.1))
    } else {
        Value::from(format!("{}{text}{}", marks.0, marks.1))
    }
}

/// Text of several lines.
fn lines(state: &State<'_, '_>, text: &str) -> Value {
    if matches!(state.auto_escape(), AutoEscape::Html) {
        let lines: Vec<_> = text.lines().map(|line| HtmlEscape(line).to_string()).collect();
        Value::from_safe_string(lines.join("<br>"))
    } else {
        Value::from(text)
    }
}

/// What somebody else said, told apart from what the service says.
fn quote(state: &State<'_, '_>, text: &str) -> Value {
    if matches!(state.auto_escape(), AutoEscape::Html) {
        let lines = lines(state, text);
        Value::from_safe_string(format!("<span class=\"quote\" dir=\"auto\">{lines}</span>"))
    } else {
        let lines: Vec<_> = text.lines().map(|line| format!("> {line}")).collect();
        Value::from(lines.join("\n"))
    }
}
