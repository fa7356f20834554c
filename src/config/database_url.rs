//! Checks `DATABASE_URL` at the start. libpq reports a malformed one only when it connects, and quotes the part that it
//! doesn't understand, which is a part of the password if that contains an unescaped `@` or `/`.

use secrecy::SecretString;

const FORM: &str = "must be postgres://user:password@host:port/database";
const ESCAPE: &str = "percent-encode special characters in the user and the password (@ is %40, / is %2F, % is %25)";

/// Accepts a URL, or libpq's keywords: `host=… dbname=…`.
pub(super) fn parse(text: &str) -> Result<SecretString, String> {
    if text.contains(char::is_control) {
        return Err("contains a control character".to_owned());
    }
    let url = text
        .strip_prefix("postgres://")
        .or_else(|| text.strip_prefix("postgresql://"));
    match url {
        Some(rest) => check_url(rest)?,
        None if text.contains("://") || !text.contains('=') => return Err(FORM.to_owned()),
        None => {
            check_keywords(text).ok_or("the keywords must be name=value, with values that contain blanks in quotes")?;
        }
    }
    Ok(SecretString::from(text))
}

fn check_url(rest: &str) -> Result<(), String> {
    if !is_percent_encoded(rest) {
        return Err(format!("a % is not followed by two hexadecimal digits; {ESCAPE}"));
    }
    if rest.contains([' ', '#']) {
        return Err(format!("contains a blank or a #; {ESCAPE}"));
    }
    let (before_query, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = before_query.split_once('/').unwrap_or((before_query, ""));
    let (user, hosts) = authority.split_once('@').unwrap_or(("", authority));
    let misplaced = [hosts, path, query].iter().any(|part| part.contains('@'));
    if misplaced || path.contains('/') || user.matches(':').count() > 1 || !hosts.split(',').all(is_host) {
        return Err(format!("{FORM}; {ESCAPE}"));
    }
    if !query.split('&').all(|option| query.is_empty() || is_option(option)) {
        return Err(format!("the options after ? must be name=value; {ESCAPE}"));
    }
    Ok(())
}

fn is_percent_encoded(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        rest.get(..2)
            .is_some_and(|digits| digits != "00" && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
    })
}

/// A name, an address, an IPv6 address in brackets, a percent-encoded folder, or nothing; then a port, if there is one.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else {
                return false;
            };
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            ("", port.strip_prefix(':'))
        }
        None => text
            .split_once(':')
            .map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let is_name = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._%~".contains(&byte));
    is_name && port.is_none_or(|port| port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn is_option(option: &str) -> bool {
    option.split_once('=').is_some_and(|(name, _)| is_keyword(name))
}

fn is_keyword(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// `name=value` or `name='value'`, separated by blanks; a backslash makes the next character literal.
fn check_keywords(text: &str) -> Option<()> {
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        if !is_keyword(name.trim_end()) {
            return None;
        }
        let value = after.trim_start();
        let (value, is_quoted) = value.strip_prefix('\'').map_or((value, false), |value| (value, true));
        let mut characters = value.chars();
        loop {
            match characters.next() {
                Some('\\') => drop(characters.next()?),
                Some('\'') if is_quoted => break,
                Some(character) if !is_quoted && character.is_whitespace() => break,
                None if is_quoted => return None,
                None => break,
                Some(_) => {}
            }
        }
        rest = characters.as_str().trim_start();
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_urls_and_keywords_are_accepted() {
        for text in [
            "postgres://host",
            "postgres://user:password@host:5432/database",
            "postgresql://user:p%40ss%2Fword%25@db.example.com/database?sslmode=verify-full&sslrootcert=system",
            "postgresql://user@%2Fvar%2Frun%2Fpostgresql:5432/database",
            "postgres://user:password@[fd00::7]:5432/database",
            "postgres://user:password@first:5432,second:5433/database?target_session_attrs=read-write",
            "postgres:///database?host=/var/run/postgresql",
            "postgres://user:p$a!s(s)*w&o+r=d@host/database",
            "host=/tmp dbname=database user=ada password='a b\\'c'",
            "host = localhost password=pa$$@/word",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_malformed_value_is_refused_without_a_word_of_it() {
        for text in [
            "hunter2",
            "mysql://user:hunter2@host/database",
            "http://user:hunter2@host/",
            "\"postgres://user:hunter2@host/database\"",
            "postgres:/user:hunter2@host",
            "postgres://user:hunter2%@host/database",
            "postgres://user:hunter2%zz@host/database",
            "postgres://user:hunter2%00@host/database",
            "postgres://user:pass@hunter2@host/database",
            "postgres://user:pass/hunter2@host/database",
            "postgres://user:pass?hunter2@host/database",
            "postgres://user:pass#hunter2@host/database",
            "postgres://user:pass hunter2@host/database",
            "postgres://user:pass:hunter2@host/database",
            "postgres://user:password@host:hunter2/database",
            "postgres://user:password@host/database?hunter2",
            "host=localhost password=my hunter2 dbname=x",
            "host=localhost password='hunter2",
            "host=localhost hunter2=",
            "postgres://user:hunter2@host/data\nbase",
        ] {
            let line = parse(text).map(|_| ()).unwrap_err();
            assert!(!line.contains("hunter2") && !line.contains('\n'), "{text}: {line}");
        }
    }
}
