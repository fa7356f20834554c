//! The format of a secret: `<prefix>_`, 32 random characters and a checksum of 6 characters, all from `0-9A-Za-z`. The
//! checksum lets scanners for leaked secrets recognise a key, and lets Keyward reject a mistyped one without a look-up.
//!
//! Issued keys are in use for years. A change here must accept all of them; a test checks some.

use crate::error::Error;
use crate::secret::{Token, random};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 190 bits.
const RANDOM_LENGTH: usize = 32;
const CHECKSUM_LENGTH: usize = 6;
/// Random characters in the hint.
const HINT_LENGTH: usize = 4;

/// A new secret.
///
/// # Errors
/// If the operating system provides no random bytes.
pub fn generate(prefix: &str) -> Result<Token, Error> {
    let mut text = String::with_capacity(prefix.len() + 1 + RANDOM_LENGTH + CHECKSUM_LENGTH);
    text.push_str(prefix);
    text.push('_');
    let mut missing = RANDOM_LENGTH;
    while missing > 0 {
        let bytes: [u8; 2 * RANDOM_LENGTH] = random().map_err(|_| Error::internal("no random bytes"))?;
        // 248 is the largest multiple of 62 in a byte. The bytes above would make the first characters more likely.
        for byte in bytes.iter().filter(|byte| **byte < 248).take(missing) {
            text.push(char::from(digit(u32::from(*byte))));
            missing -= 1;
        }
    }
    let checksum = checksum(&text);
    text.extend(checksum.map(char::from));
    Ok(Token::new(text))
}

/// The part of the secret by which its owner recognises the key: the prefix and the first four random characters.
pub fn hint(prefix: &str, key: &Token) -> String {
    key.expose().chars().take(prefix.len() + 1 + HINT_LENGTH).collect()
}

/// Whether `text` looks like an API key, and not like another kind of credential.
pub fn has_prefix(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('_'))
}

/// Whether length, alphabet and checksum are right.
pub fn is_well_formed(prefix: &str, text: &str) -> bool {
    let body = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'));
    body.is_some_and(|body| {
        body.len() == RANDOM_LENGTH + CHECKSUM_LENGTH && body.bytes().all(|byte| byte.is_ascii_alphanumeric())
    }) && text
        .split_at_checked(text.len() - CHECKSUM_LENGTH)
        .is_some_and(|(head, tail)| checksum(head) == *tail.as_bytes())
}

/// CRC-32/ISO-HDLC in base 62, left-padded with `0`.
fn checksum(text: &str) -> [u8; CHECKSUM_LENGTH] {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM_LENGTH];
    for position in digits.iter_mut().rev() {
        *position = digit(rest);
        rest /= 62;
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

    /// Never change these: keys of this format are in use.
    const GOLDEN: [&str; 5] = [
        "kw_000000000000000000000000000000001vXtxm",
        "kw_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz19XE6G",
        "kw_0123456789ABCDEFGHIJKLMNOPQRSTUV2jnASr",
        "kw_Ky9Pf34qY6Nb3wWD25RQ4F5ZR3qa7yEe1wxe13",
        "kw_eby3abP3E2Zs8IQ9Y7aJZqhB6baeCN6Z150xFS",
    ];

    #[test]
    fn keys_issued_by_earlier_versions_are_well_formed() {
        for key in GOLDEN {
            assert!(is_well_formed("kw", key), "{key}");
        }
    }

    #[test]
    fn a_new_key_is_well_formed_for_its_own_prefix_only() {
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
    fn a_key_with_one_wrong_character_is_malformed() {
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
