//! Makes text that people typed fit to stand in a mail.
//!
//! Most of it was checked when it came in; what was not, such as a device's description of itself, is made harmless here:
//! no control character, so no forged line or header, and nothing that turns the direction of the text around it.

use std::borrow::Cow;

/// No single line of a mail needs more.
const LONGEST_LINE: usize = 300;

/// `text` without control characters; line breaks stay where `keeps_lines` says so, and are spaces otherwise.
pub fn text(text: &str, keeps_lines: bool) -> String {
    let text = if keeps_lines {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    };
    let harmless = text.chars().filter_map(|c| match c {
        '\n' if keeps_lines => Some(c),
        c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => Some(' '),
        c if is_bidi_control(c) => None,
        c => Some(c),
    });
    if keeps_lines {
        harmless.collect()
    } else {
        shorten(harmless, LONGEST_LINE)
    }
}

/// `text` as one line of at most `longest` characters that no reader takes for an encoded word (RFC 2047 §2).
pub fn subject(text: &str, longest: usize) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    shorten(words.join(" ").replace("=?", "= ?").chars(), longest)
}

fn shorten(characters: impl Iterator<Item = char>, longest: usize) -> String {
    let mut characters = characters.peekable();
    let mut text: String = characters.by_ref().take(longest).collect();
    if characters.peek().is_some() {
        text.push_str("...");
    }
    text
}

/// The characters of UAX #9 §2 that embed, override and isolate, and its marks.
const fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}
