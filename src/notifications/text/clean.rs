//! Makes text that people entered safe to insert into a notification or an e-mail.
//!
//! Most text was checked when it was received. Some was not, such as a user agent: control characters are removed, so that
//! it can't forge a line or a header, and so are the characters that change the direction of the text around it.

/// A single line is cut after this many characters.
const MAX_LINE: usize = 300;

/// `text` as one line: line breaks and other control characters become spaces.
pub fn line(text: &str) -> String {
    shorten(text.chars().filter_map(|c| visible(c, false)), MAX_LINE)
}

/// `text` without control characters other than line breaks.
pub fn lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.chars().filter_map(|c| visible(c, true)).collect()
}

/// `text` as one line of at most `max` characters that can't be read as an encoded word (RFC 2047 §2).
pub fn subject(text: &str, max: usize) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    shorten(words.join(" ").replace("=?", "= ?").chars(), max)
}

/// `text` without anything that an e-mail client turns into a link: `evil.example` becomes `evil[.]example`, and `https://`
/// becomes `https[:]//`.
///
/// The brackets are the convention of security reports. An invisible character such as U+2060 instead would be no obstacle: a
/// client may still find the link, and browsers ignore that character in host names (UTS #46).
pub fn unlinked(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut previous = ' ';
    for (index, c) in text.char_indices() {
        let rest = text.get(index + c.len_utf8()..).unwrap_or_default();
        match c {
            // Browsers read the other characters as a full stop in host names.
            '.' | '\u{2024}' | '\u{FF0E}' | '\u{FF61}' if previous.is_alphanumeric() && starts_with_label(rest) => {
                result.push_str("[.]");
            }
            ':' if rest.starts_with("//") => result.push_str("[:]"),
            _ => result.push(c),
        }
        previous = c;
    }
    result
}

/// Whether `text` could be the last part of a domain, which has at least two letters.
fn starts_with_label(text: &str) -> bool {
    text.chars().take(2).filter(|c| c.is_alphabetic()).count() == 2
}

fn shorten(characters: impl Iterator<Item = char>, max: usize) -> String {
    let mut characters = characters.peekable();
    let mut text: String = characters.by_ref().take(max).collect();
    if characters.peek().is_some() {
        text.push_str("...");
    }
    text
}

fn visible(c: char, keep_line_breaks: bool) -> Option<char> {
    match c {
        '\n' if keep_line_breaks => Some(c),
        c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => Some(' '),
        c if is_bidi_control(c) => None,
        c => Some(c),
    }
}

/// The characters of UAX #9 §2 that embed, override and isolate, and its marks.
const fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_link_becomes_inert() {
        for (typed, inert) in [
            ("Acme", "Acme"),
            ("Acme Inc.", "Acme Inc."),
            (
                "J. R. R. Tolkien, e.g. v1.2 at 10.30",
                "J. R. R. Tolkien, e.g. v1.2 at 10.30",
            ),
            ("https://evil.example/x", "https[:]//evil[.]example/x"),
            ("HTTP://192.0.2.1", "HTTP[:]//192.0.2.1"),
            ("www.evil.example", "www[.]evil[.]example"),
            ("win at evil.example!", "win at evil[.]example!"),
            ("a@evil.example", "a@evil[.]example"),
            ("evil\u{FF0E}example", "evil[.]example"),
            ("例子.中国", "例子[.]中国"),
            ("Node.js", "Node[.]js"),
        ] {
            assert_eq!(unlinked(typed), inert);
        }
    }
}
