//! What mails are, byte by byte.

use mail_parser::{MessageParser, MimeHeaders as _};

use super::super::Link;
use super::super::letter::ComposeError;
use super::*;

fn parsed(letter: &Letter) -> mail_parser::Message<'_> {
    MessageParser::default().parse(&letter.bytes).unwrap()
}

/// What a reader knows nothing of MIME but looks for the link finds.
fn raw_link(letter: &Letter) -> String {
    let raw = String::from_utf8(letter.bytes.clone()).unwrap();
    let start = raw.find("https://").unwrap();
    raw[start..].split_whitespace().next().unwrap().to_owned()
}

#[test]
fn every_mail_has_the_headers_and_the_two_forms_of_its_text() {
    for locale in Locale::ALL {
        for message in every_message("Ada Łovelace & 爱达") {
            for encoding in [Encoding::Raw, Encoding::Ascii] {
                let letter = letter(locale, message.clone(), encoding);
                let mail = parsed(&letter);
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
                if encoding == Encoding::Ascii {
                    assert!(letter.bytes.is_ascii());
                }
                assert!(letter.bytes.split(|&b| b == b'\n').all(|line| line.len() <= 999));
                let bare = letter.bytes.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r');
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
fn the_words_arrive_as_they_were_made() {
    for locale in Locale::ALL {
        for message in every_message("Ada Łovelace & 爱达") {
            let mail = outgoing(locale, message.clone());
            let frame = super::super::render::Frame {
                service: "Example Accounts",
                recipient: RECIPIENT,
                link: None,
            };
            if message.link().is_some() {
                continue;
            }
            let rendered = composer().templates.render(locale, &message, &frame).unwrap();
            for encoding in [Encoding::Raw, Encoding::Ascii] {
                let letter = composer().compose(&mail, encoding).unwrap();
                let mail = parsed(&letter);
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
fn the_link_leads_to_the_page_with_the_token_of_its_row() {
    let secret = ServerSecret::new(&[7; 32]);
    for locale in Locale::ALL {
        for message in every_message("Ada") {
            let Some((link, token_id)) = message.link() else {
                continue;
            };
            let token = secret.token(link.purpose(), token_id.uuid());
            let expected = format!("{APP_URL}/{}#token={}", link.page(), token.expose());
            let letter = letter(locale, message, Encoding::Raw);
            let text = parsed(&letter).body_text(0).unwrap().into_owned();
            assert_eq!(text.lines().filter(|line| *line == expected).count(), 1, "{text}");
            assert_eq!(raw_link(&letter), expected, "found whole in the raw file too");
        }
    }
}

#[test]
fn the_text_of_an_english_mail_can_be_read_without_decoding() {
    let letter = letter(
        Locale::En,
        Message::ResetPassword { token_id: token_id() },
        Encoding::Ascii,
    );
    let raw = std::str::from_utf8(&letter.bytes).unwrap();
    assert_eq!(raw.matches("Content-Transfer-Encoding: 7bit").count(), 2);
    assert_eq!(
        raw_link(&letter).len(),
        APP_URL.len() + "/reset-password#token=".len() + 43
    );
}

#[test]
fn no_typed_text_adds_a_header() {
    for typed in [
        "Acme\r\nBcc: everybody@example.org",
        "Acme\nBcc: everybody@example.org\n\nbody",
        "Acme\rBcc: everybody@example.org",
        "\u{0}\u{b}\u{c}\u{85}\u{2028}\u{2029}Bcc: everybody@example.org",
        "爱达\r\nBcc: everybody@example.org",
        "=?utf-8?B?DQpCY2M6IGV2ZXJ5Ym9keUBleGFtcGxlLm9yZw==?=",
    ] {
        for locale in Locale::ALL {
            for message in every_message(typed) {
                let letter = letter(locale, message, Encoding::Raw);
                let mail = parsed(&letter);
                assert!(mail.bcc().is_none());
                let subject = mail.subject().unwrap();
                assert!(!subject.chars().any(char::is_control), "{subject:?}");
                assert_eq!(letter.envelope.to().len(), 1);
                assert_eq!(mail.headers().len(), 9, "{:?}", mail.headers());
            }
        }
    }
}

#[test]
fn a_long_subject_is_cut() {
    let org_name = "爱".repeat(5000);
    let letter = letter(Locale::En, Message::MemberRemoved { org_name }, Encoding::Raw);
    assert!(parsed(&letter).subject().unwrap().chars().count() <= 153);
}

#[test]
fn an_overlong_line_is_carried_whole() {
    for body in ["x".repeat(5000), "爱".repeat(5000)] {
        let message = Message::Announcement {
            title: "Long".to_owned(),
            body: body.clone(),
        };
        let letter = letter(Locale::En, message, Encoding::Raw);
        assert!(parsed(&letter).body_text(0).unwrap().contains(&body));
    }
}

#[test]
fn only_an_address_is_written_to() {
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
        let mut mail = outgoing(Locale::En, Message::AlreadyRegistered);
        recipient.clone_into(&mut mail.recipient);
        let composed = composer().compose(&mail, Encoding::Raw);
        assert!(matches!(composed, Err(ComposeError::Recipient(_))), "{recipient:?}");
    }
}

#[test]
fn composed_again_a_mail_is_the_same() {
    for message in every_message("Ada") {
        let [one, two] = [(); 2].map(|()| letter(Locale::En, message.clone(), Encoding::Raw).bytes);
        assert_eq!(one, two);
    }
}

#[test]
fn a_reason_never_repeats_the_token() {
    let letter = letter(Locale::En, Message::VerifyEmail { token_id: token_id() }, Encoding::Raw);
    let token = Link::VerifyEmail.token(&ServerSecret::new(&[7; 32]), token_id());
    let reason = format!("554 {} is on a block list", raw_link(&letter));
    assert!(reason.contains(token.expose()));
    assert!(!letter.redact(&reason).contains(token.expose()));
}
