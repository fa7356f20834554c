//! The filters that templates can use.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, HtmlEscape, State, Value};

/// Adds the filters, with the words of a language.
pub fn add(
    environment: &mut Environment<'static>,
    instant_format: String,
    roles: BTreeMap<String, String>,
    quotes: (String, String),
) {
    environment.add_filter("instant", move |instant: &str| -> Result<String, Error> {
        let instant: DateTime<Utc> = instant
            .parse()
            .map_err(|_| Error::new(ErrorKind::InvalidOperation, "not an instant"))?;
        Ok(instant.format(&instant_format).to_string())
    });
    environment.add_filter("role", move |role: String| roles.get(&role).cloned().unwrap_or(role));
    environment.add_filter("name", move |state: &State<'_, '_>, name: &str| {
        name_of(state, name, &quotes)
    });
    environment.add_filter("lines", lines);
    environment.add_filter("quote", quote);
}

fn is_html(state: &State<'_, '_>) -> bool {
    matches!(state.auto_escape(), AutoEscape::Html)
}

/// A name, set off from the sentence: bold in HTML, in quotation marks in plain text.
fn name_of(state: &State<'_, '_>, name: &str, (before, after): &(String, String)) -> Value {
    if is_html(state) {
        Value::from_safe_string(format!("<strong dir=\"auto\">{}</strong>", HtmlEscape(name)))
    } else {
        Value::from(format!("{before}{name}{after}"))
    }
}

/// Text of several lines.
fn lines(state: &State<'_, '_>, text: &str) -> Value {
    if is_html(state) {
        let lines: Vec<_> = text.lines().map(|line| HtmlEscape(line).to_string()).collect();
        Value::from_safe_string(lines.join("<br>"))
    } else {
        Value::from(text)
    }
}

/// What another person wrote, set off from the words of the service.
fn quote(state: &State<'_, '_>, text: &str) -> Value {
    if is_html(state) {
        let lines = lines(state, text);
        Value::from_safe_string(format!("<span class=\"quote\" dir=\"auto\">{lines}</span>"))
    } else {
        let lines: Vec<_> = text.lines().map(|line| format!("> {line}")).collect();
        Value::from(lines.join("\n"))
    }
}
