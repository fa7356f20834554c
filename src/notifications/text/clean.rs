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
