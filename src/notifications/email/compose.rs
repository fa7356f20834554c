//! Composes an e-mail: headers and MIME structure (RFC 5322, RFC 2045) around its rendered text.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use lettre::Address;
use lettre::address::{AddressError, Envelope};
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};

use super::render::{RenderedEmail, TemplateContext, render};
use crate::notifications::event::Event;
use crate::notifications::text::{TextCatalog, TextError};
use crate::secret::{ServerSecret, Token};
use crate::values::ids::MailId;
use crate::values::locale::Locale;

/// RFC 5322 §2.1.1: the maximum length of a line, its CRLF not counted.
const MAX_LINE: usize = 998;

#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// Another attempt fails as well.
    #[error("the recipient is not an address: {0}")]
    Recipient(#[from] AddressError),
    #[error("the text cannot be rendered: {0}")]
    Text(#[from] TextError),
    #[error("the e-mail cannot be composed: {0}")]
    Build(#[from] lettre::error::Error),
}

/// The encoding of text that is not ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `8bit`, for files: they can be read in an editor.
    EightBit,
    /// `base64`, for SMTP: not every server accepts eight bits, and one that converts them breaks signatures.
    Base64,
}

/// A queued e-mail.
#[derive(Clone, Debug)]
pub struct Email {
    /// The id of its row, also the left part of its Message-ID.
    pub id: MailId,
    /// The address it goes to.
    pub recipient: String,
    pub locale: Locale,
    pub event: Event,
    /// When it was queued: its `Date`.
    pub created_at: DateTime<Utc>,
    /// The number of earlier notices of the same event that it replaces.
    pub merged: i32,
}

/// An e-mail ready to be sent. Composed again, it has the same bytes, so that a reader can recognise a repeated delivery.
/// It contains a token, so it has no `Debug`.
pub struct ComposedEmail {
    pub id: MailId,
    pub created_at: DateTime<Utc>,
    /// The addresses for the mail server.
    pub envelope: Envelope,
    /// Headers and body.
    pub bytes: Vec<u8>,
    token: Option<Token>,
}

impl ComposedEmail {
    /// Removes the token of this e-mail from `text`: a mail server's error may quote the e-mail.
    pub fn redact(&self, text: &str) -> String {
        match &self.token {
            Some(token) => text.replace(token.expose(), "[token]"),
            None => text.to_owned(),
        }
    }
}

pub struct Composer {
    /// The sender of every e-mail.
    pub from: Mailbox,
    /// The name of the service.
    pub service: String,
    /// The URL that links start with, without a slash at the end.
    pub app_url: String,
    /// The right part of every Message-ID.
    pub host: String,
    /// Derives the tokens of links.
    pub secret: ServerSecret,
    pub texts: Arc<TextCatalog>,
}

impl Composer {
    pub fn compose(&self, email: &Email, encoding: Encoding) -> Result<ComposedEmail, ComposeError> {
        let address: Address = email.recipient.parse()?;
        let link = email
            .event
            .link()
            .map(|(link, token_id)| (link, link.token(&self.secret, token_id)));
        let url = link.as_ref().map(|(link, token)| link.url(&self.app_url, token));
        let context = TemplateContext {
            service: &self.service,
            recipient: &email.recipient,
            link: url.as_deref(),
            at: email.created_at,
            merged: email.merged,
        };
        let rendered = render(&self.texts, email.locale, &email.event, &context)?;
        let message = self.build(email, address, rendered, encoding)?;
        Ok(ComposedEmail {
            id: email.id,
            created_at: email.created_at,
            envelope: message.envelope().clone(),
            bytes: message.formatted(),
            token: link.map(|(_, token)| token),
        })
    }

    fn build(
        &self,
        email: &Email,
        to: Address,
        rendered: RenderedEmail,
        encoding: Encoding,
    ) -> Result<lettre::Message, lettre::error::Error> {
        let parts = MultiPart::alternative()
            .boundary(format!("keyward-{}", email.id.uuid().simple()))
            .singlepart(part(ContentType::TEXT_PLAIN, &rendered.text, encoding))
            .singlepart(part(ContentType::TEXT_HTML, &rendered.html, encoding));
        lettre::Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(rendered.subject)
            .date(email.created_at.into())
            .message_id(Some(format!("<{}@{}>", email.id, self.host)))
            // RFC 3834 §5: asks for no out-of-office reply.
            .raw_header(header("Auto-Submitted", "auto-generated"))
            .raw_header(header("Content-Language", email.locale.as_str()))
            .multipart(parts)
    }
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// A part of the body. Never quoted-printable, which breaks a long link over two lines: ASCII text without an overlong line
/// is sent unencoded, so that the link can be read in the raw file.
fn part(content_type: ContentType, text: &str, encoding: Encoding) -> SinglePart {
    let text = text.replace('\n', "\r\n");
    let fits = text.split("\r\n").all(|line| line.len() <= MAX_LINE);
    let body = if fits && text.is_ascii() {
        Body::dangerous_pre_encoded(text.into_bytes(), ContentTransferEncoding::SevenBit)
    } else if fits && encoding == Encoding::EightBit {
        Body::dangerous_pre_encoded(text.into_bytes(), ContentTransferEncoding::EightBit)
    } else {
        // Base64 can encode all bytes, so the fallback, which chooses an encoding itself, isn't reached.
        Body::new_with_encoding(text.into_bytes(), ContentTransferEncoding::Base64).unwrap_or_else(Body::new)
    };
    SinglePart::builder().content_type(content_type).body(body)
}
