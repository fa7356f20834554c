//! The composed e-mails, byte by byte.

use mail_parser::{MessageParser, MimeHeaders as _};

use super::super::compose::ComposeError;
use super::super::render::{TemplateContext, render};
use super::*;
use crate::notifications::event::Link;
use crate::values::ids::OrgId;

fn parsed(email: &ComposedEmail) -> mail_parser::Message<'_> {
    MessageParser::default().parse(&email.bytes).unwrap()
}

/// The link as found in the raw bytes, without decoding MIME.
fn raw_link(email: &ComposedEmail) -> String {
    let raw = String::from_utf8(email.bytes.clone()).unwrap();
    let start = raw.find("https://").unwrap();
    raw[start..].split_whitespace().next().unwrap().to_owned()
}

#[test]
fn every_email_has_all_headers_and_both_forms_of_its_text() {
    for locale in Locale::ALL {
        for event in samples("Ada Łovelace & 爱达") {
            for encoding in [Encoding::EightBit, Encoding::Base64] {
                let composed = composed(locale, event.clone(), encoding);
                let mail = parsed(&composed);
                let from = mail.from().unwrap().first().unwrap();
                assert_eq!(from.name(), Some("Example Accounts"));
                assert_eq!(from.address(), Some("no-reply@example.com"));
                assert_eq!(mail.to().unwrap().first().unwrap().address(), Some(RECIPIENT));
                assert_eq!(
                    mail.message_id(),
                    Some("0193a5a0-0000-7000-8000-000000000001@accounts.example.com")
                );
                assert_eq!(mail.date().unwrap().to_timestamp(), at().timestamp());
                assert_eq!(mail.header_raw("Auto-Submitted").unwrap().trim(), "auto-generated");
                assert_eq!(mail.header_raw("Content-Language").unwrap().trim(), locale.as_str());
                assert!(mail.subject().is_some_and(|subject| !subject.is_empty()));
                assert!(mail.content_type().unwrap().is_multipart_alternative());
                let types: Vec<_> = mail.parts[1..]
                    .iter()
                    .map(|part| part.content_type().unwrap())
                    .collect();
                assert_eq!(
                    types.iter().map(|t| t.subtype().unwrap()).collect::<Vec<_>>(),
                    ["plain", "html"]
                );
                assert!(types.iter().all(|t| t.attribute("charset") == Some("utf-8")));
                if encoding == Encoding::Base64 {
                    assert!(composed.bytes.is_ascii());
                }
                assert!(composed.bytes.split(|&b| b == b'\n').all(|line| line.len() <= 999));
                let bare = composed
                    .bytes
                    .windows(2)
                    .any(|pair| pair[1] == b'\n' && pair[0] != b'\r');
                assert!(!bare, "every line ends with CRLF");
            }
        }
    }
}

trait IsAlternative {
    fn is_multipart_alternative(&self) -> bool;
}

impl IsAlternative for mail_parser::ContentType<'_> {
    fn is_multipart_alternative(&self) -> bool {
        self.ctype() == "multipart" && self.subtype() == Some("alternative")
    }
}

#[test]
fn the_rendered_text_survives_encoding() {
    for locale in Locale::ALL {
        for event in samples("Ada Łovelace & 爱达") {
            if event.link().is_some() {
                continue;
            }
            let context = TemplateContext {
                service: "Example Accounts",
                recipient: RECIPIENT,
                link: None,
                at: at(),
                merged: 0,
            };
            let rendered = render(&TextCatalog::strict().unwrap(), locale, &event, &context).unwrap();
            for encoding in [Encoding::EightBit, Encoding::Base64] {
                let composed = composed(locale, event.clone(), encoding);
                let mail = parsed(&composed);
                assert_eq!(mail.subject(), Some(rendered.subject.as_str()));
                assert_eq!(
                    mail.body_text(0).unwrap().replace('\r', "").trim_end(),
                    rendered.text.trim_end()
                );
                assert_eq!(
                    mail.body_html(0).unwrap().replace('\r', "").trim_end(),
                    rendered.html.trim_end()
                );
            }
        }
    }
}

#[test]
fn the_link_opens_its_page_with_the_token_of_its_row() {
    let secret = ServerSecret::new(&[7; 32]);
    for locale in Locale::ALL {
        for event in samples("Ada") {
            let Some((link, token_id)) = event.link() else {
                continue;
            };
            let token = secret.token(link.purpose(), token_id.uuid());
            let expected = format!("{APP_URL}/{}#token={}", link.page(), token.expose());
            let composed = composed(locale, event, Encoding::EightBit);
            let text = parsed(&composed).body_text(0).unwrap().into_owned();
            assert_eq!(text.lines().filter(|line| *line == expected).count(), 1, "{text}");
            assert_eq!(raw_link(&composed), expected, "the raw file contains it unbroken");
        }
    }
}

#[test]
fn an_english_email_is_readable_without_decoding() {
    let composed = composed(
        Locale::En,
        Event::ResetPassword { token_id: token_id() },
        Encoding::Base64,
    );
    let raw = std::str::from_utf8(&composed.bytes).unwrap();
    assert_eq!(raw.matches("Content-Transfer-Encoding: 7bit").count(), 2);
    assert_eq!(
        raw_link(&composed).len(),
        APP_URL.len() + "/reset-password#token=".len() + 43
    );
}

#[test]
fn typed_text_adds_no_header() {
    for typed in [
        "Acme\r\nBcc: bcc@example.org",
        "Acme\nBcc: bcc@example.org\n\nbody",
        "Acme\rBcc: bcc@example.org",
        "\u{0}\u{b}\u{c}\u{85}\u{2028}\u{2029}Bcc: bcc@example.org",
        "爱达\r\nBcc: bcc@example.org",
        "=?utf-8?B?DQpCY2M6IGV2ZXJ5Ym9keUBleGFtcGxlLm9yZw==?=",
    ] {
        for locale in Locale::ALL {
            for event in samples(typed) {
                let composed = composed(locale, event, Encoding::EightBit);
                let mail = parsed(&composed);
                assert!(mail.bcc().is_none());
                let subject = mail.subject().unwrap();
                assert!(!subject.chars().any(char::is_control), "{subject:?}");
                assert_eq!(composed.envelope.to().len(), 1);
                assert_eq!(mail.headers().len(), 9, "{:?}", mail.headers());
            }
        }
    }
}

#[test]
fn a_long_subject_is_cut() {
    let member_removed = Event::MemberRemoved {
        org_id: OrgId::from(token_id().uuid()),
        org_name: "爱".repeat(5000),
    };
    let composed = composed(Locale::En, member_removed, Encoding::EightBit);
    assert!(parsed(&composed).subject().unwrap().chars().count() <= 153);
}

#[test]
fn an_overlong_line_is_not_cut() {
    for body in ["x".repeat(5000), "爱".repeat(5000)] {
        let event = Event::Announcement {
            title: "Long".to_owned(),
            body: body.clone(),
            org_id: None,
        };
        let composed = composed(Locale::En, event, Encoding::EightBit);
        assert!(parsed(&composed).body_text(0).unwrap().contains(&body));
    }
}

#[test]
fn a_recipient_that_is_no_address_is_rejected() {
    for recipient in [
        "",
        "ada",
        "ada@example.org\r\nBcc: eve@example.org",
        "ada@example.org, eve@example.org",
        "Ada <ada@example.org>",
        "ada@example.org>\r\nRCPT TO:<eve@example.org",
        "ada\r\n@example.org",
        "ada@exam\nple.org",
        "\"ada\r\n\"@example.org",
        "ada@example.org\0",
    ] {
        let mut mail = email(Locale::En, Event::AlreadyRegistered);
        recipient.clone_into(&mut mail.recipient);
        let composed = composer().compose(&mail, Encoding::EightBit);
        assert!(matches!(composed, Err(ComposeError::Recipient(_))), "{recipient:?}");
    }
}

#[test]
fn an_email_composed_twice_has_the_same_bytes() {
    for event in samples("Ada") {
        let [one, two] = [(); 2].map(|()| composed(Locale::En, event.clone(), Encoding::EightBit).bytes);
        assert_eq!(one, two);
    }
}

#[test]
fn redacting_removes_the_token() {
    let composed = composed(
        Locale::En,
        Event::VerifyEmail { token_id: token_id() },
        Encoding::EightBit,
    );
    let token = Link::VerifyEmail.token(&ServerSecret::new(&[7; 32]), token_id());
    let reason = format!("554 {} is on a block list", raw_link(&composed));
    assert!(reason.contains(token.expose()));
    assert!(!composed.redact(&reason).contains(token.expose()));
}
