//! The filters that templates can use.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, HtmlEscape, State, Value};

/// Adds the filters, with the formats and role names of a language.
pub fn add(
    environment: &mut Environment<'static>,
    instant_format: String,
    roles: BTreeMap<String, String>,
    quotes: (String, String),
) {
    environment.add_filter("instant", move |instant: &Value| -> Result<Value, Error> {
        let Some(text) = instant.as_str() else {
            return missing(instant);
        };
        let instant: DateTime<Utc> = text
            .parse()
            .map_err(|_| Error::new(ErrorKind::InvalidOperation, "not an instant"))?;
        Ok(instant.format(&instant_format).to_string().into())
    });
    environment.add_filter("role", move |role: &Value| -> Result<Value, Error> {
        match role.as_str() {
            Some(role) => Ok(roles.get(role).map_or(role, String::as_str).into()),
            None => missing(role),
        }
    });
    environment.add_filter(
        "name",
        move |state: &State<'_, '_>, name: &Value| -> Result<Value, Error> {
            match name.as_str() {
                Some(name) => Ok(name_of(state, name, &quotes)),
                None => missing(name),
            }
        },
    );
    environment.add_filter("lines", lines);
    environment.add_filter("quote", quote);
}

/// A field that the event doesn't have stays undefined, so that the environment decides whether that is an error.
fn missing(value: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        Ok(Value::UNDEFINED)
    } else {
        Err(Error::new(ErrorKind::InvalidOperation, "not a string"))
    }
}

fn is_html(state: &State<'_, '_>) -> bool {
    matches!(state.auto_escape(), AutoEscape::Html)
}

/// A name: bold in HTML, in quotation marks in plain text.
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

/// Text that another person wrote: indented in HTML, with `> ` before each line in plain text.
fn quote(state: &State<'_, '_>, text: &str) -> Value {
    if is_html(state) {
        let lines = lines(state, text);
        Value::from_safe_string(format!("<span class=\"quote\" dir=\"auto\">{lines}</span>"))
    } else {
        let lines: Vec<_> = text.lines().map(|line| format!("> {line}")).collect();
        Value::from(lines.join("\n"))
    }
}
