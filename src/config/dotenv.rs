//! The file `.env`: a variable per line, as shells and docker's `--env-file` write them.
//!
//! Nothing is substituted: `$` is part of the value, because passwords contain it. An error names the number of the line and
//! never its content, which may be a secret.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Reads the file; empty if there is none. The folders above are not searched.
///
/// # Errors
/// One line that names the file and the number of the line.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let name = path.display();
    // An error here means that there is no file or that the working folder cannot be entered.
    if fs::symlink_metadata(path).is_err() {
        return Ok(BTreeMap::new());
    }
    match fs::read(path) {
        Ok(bytes) => parse(&bytes).map_err(|line| format!("{name}: line {line} is not NAME=value")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

/// The error is the number of the first invalid line.
fn parse(bytes: &[u8]) -> Result<BTreeMap<String, String>, usize> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut variables = BTreeMap::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = std::str::from_utf8(line).map_err(|_| index + 1)?.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = variable(line).ok_or(index + 1)?;
        variables.insert(name.to_owned(), value);
    }
    Ok(variables)
}

fn variable(line: &str) -> Option<(&str, String)> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if name.is_empty() || !is_name {
        return None;
    }
    let quote = value.chars().next().filter(|first| ['"', '\''].contains(first));
    let value = match quote {
        Some(quote) => quoted(value.get(1..)?, quote)?,
        None => without_comment(value).to_owned(),
    };
    Some((name, value))
}

/// The text up to the closing quote, after which only a comment may follow. In double quotes, a backslash makes a quote or
/// a backslash literal.
fn quoted(text: &str, quote: char) -> Option<String> {
    let mut value = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '\\' if quote == '"' => match characters.next()? {
                escaped @ ('"' | '\\') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            character if character == quote => break,
            character => value.push(character),
        }
    }
    let rest = characters.as_str().trim_start();
    (rest.is_empty() || rest.starts_with('#')).then_some(value)
}

/// A `#` begins a comment only after a blank: `pass#word` is a value.
fn without_comment(value: &str) -> &str {
    if value.starts_with('#') {
        return "";
    }
    value
        .find(" #")
        .or_else(|| value.find("\t#"))
        .and_then(|end| value.get(..end))
        .unwrap_or(value)
        .trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_of(line: &str) -> Option<String> {
        parse(line.as_bytes()).ok()?.remove("NAME")
    }

    #[test]
    fn values_are_literal() {
        for (line, value) in [
            ("NAME=value", "value"),
            ("export NAME = value ", "value"),
            ("NAME=", ""),
            ("NAME=pa$$word${HOME}#1", "pa$$word${HOME}#1"),
            ("NAME=value # comment", "value"),
            ("NAME=# comment", ""),
            ("NAME=\"a b # c\" # comment", "a b # c"),
            ("NAME='a\\b$c'", "a\\b$c"),
            ("NAME=\"a\\\"b\\\\c\\n\"", "a\"b\\c\\n"),
            ("NAME=a=b", "a=b"),
            ("NAME=Ada <ada@example.com>", "Ada <ada@example.com>"),
            ("\u{feff}NAME=value\r\nOTHER=1\r\n", "value"),
            ("NAME=first\nNAME=second", "second"),
        ] {
            assert_eq!(value_of(line).as_deref(), Some(value), "{line}");
        }
    }

    #[test]
    fn an_invalid_line_is_reported_by_its_number() {
        for line in ["secret", "NAME=\"secret", "NAME='a' secret", "my secret=1", "=secret"] {
            assert_eq!(parse(format!("# comment\n\n{line}\n").as_bytes()), Err(3), "{line}");
        }
        assert_eq!(parse(b"A=1\nB=\xff"), Err(2));
    }

    #[test]
    fn a_missing_file_and_a_folder_that_cannot_be_entered_are_no_error() {
        assert_eq!(read(Path::new("/nowhere/.env")), Ok(BTreeMap::new()));
        let folder = tempfile::tempdir().unwrap();
        let line = read(folder.path()).unwrap_err();
        assert!(line.starts_with(&folder.path().display().to_string()), "{line}");
    }
}
