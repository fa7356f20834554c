//! How mail leaves: to a mail server, or into a folder.

use std::path::Path;

use secrecy::ExposeSecret as _;

use super::SetupError;
use super::folder::Folder;
use super::letter::{Encoding, Letter};
use super::smtp::{Line, Smtp, Trouble};
use crate::config::Config;

/// Where mail goes.
#[derive(Clone, Debug)]
pub enum Transport {
    /// To a mail server.
    Smtp(Smtp),
    /// Into a folder.
    Folder(Folder),
}

impl Transport {
    /// The configured one. Says in the log, once, where mail goes.
    pub fn new(config: &Config, data_dir: &Path) -> Result<Self, SetupError> {
        if let Some(url) = &config.smtp_url {
            let smtp = Smtp::new(url.expose_secret(), &config.public_url().host()).map_err(SetupError::SmtpUrl)?;
            tracing::info!(server = smtp.server(), "mail goes to a mail server");
            if smtp.exposes_password() {
                tracing::warn!(
                    "the password of the mail server may travel in clear: use smtps:// or add ?tls=required"
                );
            }
            return Ok(Self::Smtp(smtp));
        }
        let folder = Folder::open(data_dir).map_err(|source| SetupError::Folder {
            data_dir: data_dir.to_owned(),
            source,
        })?;
        tracing::info!(folder = %folder.path().display(), "no mail server is set: mails are written as .eml files");
        Ok(Self::Folder(folder))
    }

    /// What text is encoded as on this way.
    pub const fn encoding(&self) -> Encoding {
        match self {
            Self::Smtp(_) => Encoding::Ascii,
            Self::Folder(_) => Encoding::Raw,
        }
    }

    /// Something to carry mails with, one after the other.
    pub const fn carrier(&self) -> Carrier<'_> {
        match self {
            Self::Smtp(smtp) => Carrier::Smtp(Line::new(smtp)),
            Self::Folder(folder) => Carrier::Folder(folder),
        }
    }
}

/// Carries mails, one after the other.
pub enum Carrier<'a> {
    /// Over one connection.
    Smtp(Line<'a>),
    /// File by file.
    Folder(&'a Folder),
}

impl Carrier<'_> {
    /// Carries `letter`.
    pub async fn carry(&mut self, letter: &Letter) -> Result<(), Trouble> {
        match self {
            Self::Smtp(line) => line.send(letter).await,
            Self::Folder(folder) => {
                let written = folder.write(letter).await;
                written.map_err(|error| Trouble::Unreachable(error.to_string()))
            }
        }
    }

    /// Ends the carrying.
    pub async fn close(self) {
        if let Self::Smtp(line) = self {
            line.close().await;
        }
    }
}
