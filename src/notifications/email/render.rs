//! Renders the e-mail about an event: the parts from the text file of the language, then the layout around them. The plain
//! text and the HTML come from the same parts.

use chrono::{DateTime, Utc};
use minijinja::{Value, context};
use serde_json::{Map, Value as Json};

use crate::notifications::event::Event;
use crate::notifications::text::{EmailParts, Format, Language, Template, TextCatalog, TextError, clean, cleaned};
use crate::values::Timestamp;
use crate::values::locale::Locale;

/// A longer subject is cut; e-mail clients show less.
const MAX_SUBJECT: usize = 150;

/// The values that templates can use besides the fields of the event.
pub struct TemplateContext<'a> {
    pub service: &'a str,
    pub recipient: &'a str,
    /// The URL of the one link.
    pub link: Option<&'a str>,
    /// When the event happened.
    pub at: DateTime<Utc>,
    /// The number of earlier notices of the same event that the e-mail replaces.
    pub merged: i32,
}

/// The text of an e-mail. It may contain a token, so it has no `Debug`.
pub struct RenderedEmail {
    pub subject: String,
    /// The plain text; lines end with LF.
    pub text: String,
    /// The same as an HTML document.
    pub html: String,
}

pub fn render(
    texts: &TextCatalog,
    locale: Locale,
    event: &Event,
    context: &TemplateContext<'_>,
) -> Result<RenderedEmail, TextError> {
    let language = texts.language(locale);
    let parts = language.email(event)?;
    let values = values(locale, event, context)?;
    let subject = language.render(&parts.subject, Format::Plain, &values)?;
    let plain = context! { link => context.link, ..values.clone() };
    let html = context! { link => context.link.map(url_in_html), ..values };
    Ok(RenderedEmail {
        subject: clean::subject(&subject, MAX_SUBJECT),
        text: lay_out(language, parts, Format::Plain, &plain)?,
        html: lay_out(language, parts, Format::Html, &html)?,
    })
}

/// Renders each part, then the layout around them.
fn lay_out(
    language: &Language,
    parts: &EmailParts<Template>,
    format: Format,
    values: &Value,
) -> Result<String, TextError> {
    // A part escapes what it inserts, so the layout must not escape it again.
    let part = |template: &Template| -> Result<Value, TextError> {
        Ok(Value::from_safe_string(language.render(template, format, values)?))
    };
    let non_empty = |templates: &[Template]| -> Result<Vec<Value>, TextError> {
        let mut rendered = templates.iter().map(part).collect::<Result<Vec<_>, _>>()?;
        rendered.retain(Value::is_true);
        Ok(rendered)
    };
    let mut details = Vec::new();
    for (label, value) in &parts.details {
        let (label, value) = (part(label)?, part(value)?);
        if value.is_true() {
            details.push(context! { label, value });
        }
    }
    let mut notes = non_empty(&parts.notes)?;
    notes.extend(non_empty(std::slice::from_ref(&language.merged))?);
    language.render_layout(
        format,
        &context! {
            heading => part(&parts.subject)?,
            paragraphs => non_empty(&parts.paragraphs)?,
            details,
            button => parts.button.as_ref().map(part).transpose()?,
            notes,
            fallback => part(&language.fallback)?,
            footer => part(&language.footer)?,
            colon => &language.colon,
            ..values.clone()
        },
    )
}

fn values(locale: Locale, event: &Event, context: &TemplateContext<'_>) -> Result<Value, TextError> {
    let lifetime = event.link().map(|(link, _)| link.lifetime()).unwrap_or_default();
    Ok(context! {
        language => locale.as_str(),
        service => clean::line(context.service),
        recipient => clean::line(context.recipient),
        at => Timestamp(context.at).to_string(),
        merged => context.merged,
        link_minutes => lifetime.num_minutes(),
        link_hours => lifetime.num_hours(),
        link_days => lifetime.num_days(),
        ..Value::from_serialize(unlinked(cleaned(event.fields()?)))
    })
}

/// The fields, with every link made inert that e-mail clients would create from text which people entered. An address is shown
/// as it is, and a platform admin may put links into the body of an announcement.
fn unlinked(mut fields: Map<String, Json>) -> Map<String, Json> {
    const LINKABLE: [&str; 3] = ["body", "old_email", "new_email"];
    for (name, value) in &mut fields {
        if let Json::String(text) = value
            && !LINKABLE.contains(&name.as_str())
        {
            *text = clean::unlinked(text);
        }
    }
    fields
}

/// A URL as an HTML attribute and as text. minijinja's own escaping also replaces slashes, which browsers understand but
/// simpler readers don't.
fn url_in_html(url: &str) -> Value {
    let escaped = url
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;");
    Value::from_safe_string(escaped)
}
