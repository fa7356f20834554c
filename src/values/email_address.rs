//! E-mail addresses in a canonical form, so that equal addresses are equal strings.

use std::str::FromStr as _;

use email_address::{EmailAddress as Parsed, Options};
use unicode_normalization::UnicodeNormalization as _;

use crate::error::{FieldCode, Invalid};

/// Lower case, with an ASCII local part and the domain in the ASCII form of IDNA (RFC 5891).
fn canonical(text: String) -> Result<String, Invalid> {
    let invalid = || {
        Invalid::new(
            FieldCode::InvalidFormat,
            "Use an e-mail address such as name@example.com.",
        )
    };
    let (local, domain) = text.rsplit_once('@').ok_or_else(invalid)?;
    let local_fits = (1..=64).contains(&local.len())
        && local
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b))
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..");
    if !local_fits || domain.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(invalid());
    }
    let domain = idna::domain_to_ascii_strict(&domain.nfc().collect::<String>()).map_err(|_| invalid())?;
    // A last label of digits only is an IP address (RFC 3696 §2).
    let (_, last) = domain.rsplit_once('.').ok_or_else(invalid)?;
    if domain.starts_with('[') || last.is_empty() || last.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid());
    }
    let address = format!("{}@{domain}", local.to_ascii_lowercase());
    let options = Options::default()
        .without_display_text()
        .without_domain_literal()
        .with_required_tld();
    Parsed::parse_with_options(&address, options).map_err(|_| invalid())?;
    // lettre sends the e-mails: an address that it refuses must not be stored.
    lettre::Address::from_str(&address).map_err(|_| invalid())?;
    Ok(address)
}

crate::text_type! {
    /// An e-mail address.
    pub struct EmailAddress(3..=254) by canonical, format "email", example "ada@example.com"
}

impl EmailAddress {
    /// An address from the database, which was made canonical before it was stored.
    pub fn stored(text: String) -> Self {
        Self(text)
    }
}

#[cfg(test)]
mod tests {
    use super::EmailAddress;

    fn canonical(text: &str) -> Option<String> {
        EmailAddress::try_from(text.to_owned())
            .ok()
            .map(EmailAddress::into_string)
    }

    #[test]
    fn different_spellings_of_an_address_have_one_canonical_form() {
        assert_eq!(canonical("Ada@Example.COM").as_deref(), Some("ada@example.com"));
        assert_eq!(
            canonical("a@BÜCHER.example").as_deref(),
            Some("a@xn--bcher-kva.example")
        );
        assert_eq!(
            canonical("a+b.c@sub.example.com").as_deref(),
            Some("a+b.c@sub.example.com")
        );
        assert_eq!(canonical("a@\u{ff45}xample.com").as_deref(), Some("a@example.com"));
    }

    #[test]
    fn invalid_and_unusual_addresses_are_rejected() {
        let long = format!("a@{}.com", "b".repeat(260));
        for text in [
            "",
            "a",
            "@example.com",
            "a@",
            "a@b",
            "a b@example.com",
            "a@exam ple.com",
            "Ada <a@example.com>",
            "ä@example.com",
            "a@example.com\r\nBcc: b@example.com",
            "a@@example.com",
            "a..b@example.com",
            ".a@example.com",
            "a@[127.0.0.1]",
            "\"a b\"@example.com",
            "a@example.com.",
            "a@-example.com",
            "a\0@example.com",
            "a@127.0.0.1",
            "a@example.com\u{202e}",
            " a@example.com",
            &long,
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
