//! From words to bytes: headers and MIME (RFC 5322, RFC 2045) around a rendered message.

use chrono::{DateTime, Utc};
use lettre::Address;
use lettre::address::{AddressError, Envelope};
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};

use super::message::Message;
use super::render::{Frame, RenderError, Rendered, Templates};
use crate::secret::{ServerSecret, Token};
use crate::values::ids::MailId;
use crate::values::locale::Locale;

/// RFC 5322 §2.1.1: no line of a message is longer, its CRLF not counted.
const LONGEST_LINE: usize = 998;

/// Why a mail could not be composed.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// The recipient is not an address; trying again will not help.
    #[error("the recipient is not an address: {0}")]
    Recipient(#[from] AddressError),
    /// The text could not be made.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The mail could not be put together.
    #[error("the mail could not be put together: {0}")]
    Build(#[from] lettre::error::Error),
}

/// What text that is not ASCII travels as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is (`8bit`): for files, so that whoever opens one can read it.
    Raw,
    /// `base64`: for SMTP, where not every server takes eight bits, and changing them on the way breaks signatures.
    Ascii,
}

/// A mail to send.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Its row, and the left part of its Message-ID.
    pub id: MailId,
    /// To whom.
    pub recipient: String,
    /// In which language.
    pub locale: Locale,
    /// What it says.
    pub message: Message,
    /// When it was put into the outbox: its date.
    pub created_at: DateTime<Utc>,
}

/// A mail as it leaves. Composed again, it is the same to the byte, so that a repeated delivery is recognised. It holds a
/// token, so it has no `Debug`.
pub struct Letter {
    /// Its row.
    pub id: MailId,
    /// When it was put into the outbox.
    pub created_at: DateTime<Utc>,
    /// From whom and to whom, for the mail server.
    pub envelope: Envelope,
    /// Headers and body.
    pub bytes: Vec<u8>,
    token: Option<Token>,
}

impl Letter {
    /// `text` without this mail's token: a server that refuses a mail may quote from it.
    pub fn redact(&self, text: &str) -> String {
        match &self.token {
            Some(token) => text.replace(token.expose(), "[token]"),
            None => text.to_owned(),
        }
    }
}

/// Makes letters.
pub struct Composer {
    /// The sender of every mail.
    pub from: Mailbox,
    /// What the service is called.
    pub service: String,
    /// Where links point, without a slash at the end.
    pub app_url: String,
    /// The right part of every Message-ID.
    pub host: String,
    /// Under which the tokens of links are derived.
    pub secret: ServerSecret,
    /// The words.
    pub templates: Templates,
}

impl Composer {
    /// Composes `mail`.
    pub fn compose(&self, mail: &Outgoing, encoding: Encoding) -> Result<Letter, ComposeError> {
        let address: Address = mail.recipient.parse()?;
        let link = mail
            .message
            .link()
            .map(|(link, token_id)| (link, link.token(&self.secret, token_id)));
        let url = link.as_ref().map(|(link, token)| link.url(&self.app_url, token));
        let frame = Frame {
            service: &self.service,
            recipient: &mail.recipient,
            link: url.as_deref(),
        };
        let rendered = self.templates.render(mail.locale, &mail.message, &frame)?;
        let message = self.build(mail, address, rendered, encoding)?;
        Ok(Letter {
            id: mail.id,
            created_at: mail.created_at,
            envelope: message.envelope().clone(),
            bytes: message.formatted(),
            token: link.map(|(_, token)| token),
        })
    }

    fn build(
        &self,
        mail: &Outgoing,
        to: Address,
        rendered: Rendered,
        encoding: Encoding,
    ) -> Result<lettre::Message, lettre::error::Error> {
        let parts = MultiPart::alternative()
            .boundary(format!("keyward-{}", mail.id.uuid().simple()))
            .singlepart(part(ContentType::TEXT_PLAIN, &rendered.text, encoding))
            .singlepart(part(ContentType::TEXT_HTML, &rendered.html, encoding));
        lettre::Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(rendered.subject)
            .date(mail.created_at.into())
            .message_id(Some(format!("<{}@{}>", mail.id, self.host)))
            // RFC 3834 §5: no out-of-office answers, please.
            .raw_header(header("Auto-Submitted", "auto-generated"))
            .raw_header(header("Content-Language", mail.locale.as_str()))
            .multipart(parts)
    }
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// A part of the body. Never quoted-printable, which would cut a long link in two: what is ASCII and has no overlong line
/// goes out as it is, so that the link can be found even in the raw file.
fn part(content_type: ContentType, text: &str, encoding: Encoding) -> SinglePart {
    let text = text.replace('\n', "\r\n");
    let fits = text.split("\r\n").all(|line| line.len() <= LONGEST_LINE);
    let body = if fits && text.is_ascii() {
        Body::dangerous_pre_encoded(text.into_bytes(), ContentTransferEncoding::SevenBit)
    } else if fits && encoding == Encoding::Raw {
        Body::dangerous_pre_encoded(text.into_bytes(), ContentTransferEncoding::EightBit)
    } else {
        let bytes = text.into_bytes();
        // Refused for no bytes at all; the other way of saying the same does not fail.
        Body::new_with_encoding(bytes, ContentTransferEncoding::Base64).unwrap_or_else(Body::new)
    };
    SinglePart::builder().content_type(content_type).body(body)
}
