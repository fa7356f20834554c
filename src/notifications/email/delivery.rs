//! The two ways to deliver an e-mail: to a mail server, or into a directory.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;

use super::compose::{ComposedEmail, Encoding};
use super::file::MailDir;
use super::smtp::{SendError, SmtpServer, SmtpSession};
use crate::config::Config;

/// A mail setting that the service can't start with.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The reason doesn't repeat the URL, which may contain a password.
    #[error("KEYWARD_SMTP_URL: {0}")]
    SmtpUrl(String),
    #[error("KEYWARD_DATA_DIR: cannot create a directory for e-mails under {}: {source}", data_dir.display())]
    MailDir { data_dir: PathBuf, source: std::io::Error },
}

/// Where e-mails are delivered.
#[derive(Clone, Debug)]
pub enum Delivery {
    Smtp(SmtpServer),
    File(MailDir),
}

impl Delivery {
    /// The configured delivery; logs it. Connects to nothing yet.
    pub fn new(config: &Config, data_dir: &Path) -> Result<Self, SetupError> {
        if let Some(url) = &config.smtp_url {
            let smtp =
                SmtpServer::new(url.expose_secret(), &config.public_url().host()).map_err(SetupError::SmtpUrl)?;
            tracing::info!(server = smtp.address(), "e-mails are sent to a mail server");
            if smtp.exposes_password() {
                tracing::warn!(
                    "the password of the mail server may be sent unencrypted: use smtps:// or add ?tls=required"
                );
            }
            return Ok(Self::Smtp(smtp));
        }
        let dir = MailDir::open(data_dir).map_err(|source| SetupError::MailDir {
            data_dir: data_dir.to_owned(),
            source,
        })?;
        tracing::info!(folder = %dir.path().display(), "no mail server is set: e-mails are written as .eml files");
        Ok(Self::File(dir))
    }

    pub const fn encoding(&self) -> Encoding {
        match self {
            Self::Smtp(_) => Encoding::Base64,
            Self::File(_) => Encoding::EightBit,
        }
    }

    /// A session in which one worker sends its e-mails one after the other.
    pub const fn session(&self) -> DeliverySession<'_> {
        match self {
            Self::Smtp(smtp) => DeliverySession::Smtp(SmtpSession::new(smtp)),
            Self::File(dir) => DeliverySession::File(dir),
        }
    }
}

pub enum DeliverySession<'a> {
    Smtp(SmtpSession<'a>),
    File(&'a MailDir),
}

impl DeliverySession<'_> {
    pub async fn send(&mut self, email: &ComposedEmail) -> Result<(), SendError> {
        match self {
            Self::Smtp(session) => session.send(email).await,
            Self::File(dir) => {
                let written = dir.write(email).await;
                written.map_err(|error| {
                    SendError::Unreachable(format!("cannot write to {}: {error}", dir.path().display()))
                })
            }
        }
    }

    pub async fn close(self) {
        if let Self::Smtp(session) = self {
            session.close().await;
        }
    }
}
