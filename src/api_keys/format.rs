//! The form of an API key: `<prefix>_`, 32 random characters, and a checksum of 6, all of `0-9A-Za-z`.
//!
//! Issued keys are out there for years: whatever changes here must keep every one of them good. A test holds some.

use crate::error::Error;
use crate::secret::{Token, random};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Random characters: 190 bits.
const RANDOM: usize = 32;
/// Characters of the checksum.
const CHECKSUM: usize = 6;
/// Random characters that the hint shows.
const HINT: usize = 4;

/// A new key.
///
/// # Errors
/// When the system has no randomness to give.
pub fn generate(prefix: &str) -> Result<Token, Error> {
    let mut text = String::with_capacity(prefix.len() + 1 + RANDOM + CHECKSUM);
    text.push_str(prefix);
    text.push('_');
    let mut wanted = RANDOM;
    while wanted > 0 {
        let bytes: [u8; 2 * RANDOM] = random().map_err(|_| Error::internal("no randomness"))?;
        // Bytes beyond the last whole multiple of 62 would favour the first characters.
        for byte in bytes.iter().filter(|byte| **byte < 248).take(wanted) {
            text.push(char::from(digit(u32::from(*byte))));
            wanted -= 1;
        }
    }
    let checksum = checksum(&text);
    text.extend(checksum.map(char::from));
    Ok(Token::presented(text))
}

/// What of a key is shown for ever: its prefix and first four characters.
pub fn hint(prefix: &str, key: &Token) -> String {
    key.expose().chars().take(prefix.len() + 1 + HINT).collect()
}

/// Whether `text` is an API key to look at, and not another kind of credential.
pub fn has_prefix(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('_'))
}

/// Whether `text` has the form of a key and the right checksum. No key that was ever issued fails this.
pub fn is_well_formed(prefix: &str, text: &str) -> bool {
    let body = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'));
    body.is_some_and(|body| body.len() == RANDOM + CHECKSUM && body.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        && text
            .split_at_checked(text.len() - CHECKSUM)
            .is_some_and(|(head, tail)| checksum(head) == *tail.as_bytes())
}

/// CRC-32/ISO-HDLC in base 62, left-padded with `0`.
fn checksum(text: &str) -> [u8; CHECKSUM] {
    let mut number = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM];
    for place in digits.iter_mut().rev() {
        *place = digit(number);
        number /= 62;
    }
    digits
}

fn digit(number: u32) -> u8 {
    let index = (number % 62) as usize;
    ALPHABET.get(index).copied().unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Never change these: keys like them are in use.
    const GOLDEN: [&str; 5] = [
        "kw_000000000000000000000000000000001vXtxm",
        "kw_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz19XE6G",
        "kw_0123456789ABCDEFGHIJKLMNOPQRSTUV2jnASr",
        "kw_Ky9Pf34qY6Nb3wWD25RQ4F5ZR3qa7yEe1wxe13",
        "kw_eby3abP3E2Zs8IQ9Y7aJZqhB6baeCN6Z150xFS",
    ];

    #[test]
    fn keys_issued_long_ago_are_good_for_ever() {
        for key in GOLDEN {
            assert!(is_well_formed("kw", key), "{key}");
        }
    }

    #[test]
    fn a_new_key_is_well_formed_under_its_own_prefix_only() {
        let key = generate("kw").unwrap();
        assert_eq!(key.expose().len(), 41);
        assert!(is_well_formed("kw", key.expose()));
        assert!(!is_well_formed("k", key.expose()));
        assert!(!is_well_formed("acme", key.expose()));
        assert!(is_well_formed("acme1", generate("acme1").unwrap().expose()));
        assert_ne!(key.expose(), generate("kw").unwrap().expose());
        assert_eq!(hint("kw", &key), key.expose()[..7]);
    }

    #[test]
    fn one_wrong_character_anywhere_is_noticed() {
        let key = generate("kw").unwrap().expose().to_owned();
        for index in 0..key.len() {
            let mut bytes = key.clone().into_bytes();
            bytes[index] = if bytes[index] == b'a' { b'b' } else { b'a' };
            let wrong = String::from_utf8(bytes).unwrap();
            assert!(!is_well_formed("kw", &wrong), "{wrong}");
        }
        for wrong in [
            "",
            "kw",
            "kw_",
            &key[..40],
            &format!("{key}0"),
            "kw_é",
            &key.replace('_', "-"),
        ] {
            assert!(!is_well_formed("kw", wrong), "{wrong}");
        }
    }
}
