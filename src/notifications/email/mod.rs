//! Mail: what the service tells people outside of its answers.
//!
//! **Its life.** An operation calls [`outbox::enqueue`] with a [`Message`] in its own transaction: the mail is a row, and
//! exists if and only if what it tells of does. The worker calls [`outbox::deliver_due`], which claims rows for a while,
//! sends them outside of any transaction and marks them sent; a mail that was not taken is tried again, later and later,
//! until it is given up. A crash between sending and marking sends it again with the same bytes and Message-ID.
//!
//! **What must never happen.** A token in the database or in a log: the row holds the id of the one-time token, and the
//! token is derived from it when the mail is composed. A link built from anything but the configured URL. Text that
//! somebody typed becoming a header, markup or a template. A request waiting for a mail server.
//!
//! The parts: [`message`] what can be said · [`link`] the links · `render` (with `templates/`) the words · `letter` the
//! bytes · `transport` (`smtp`, `folder`) the way out · [`outbox`] the queue.

pub mod clean;
mod folder;
mod letter;
mod limit;
pub mod link;
pub mod message;
pub mod outbox;
mod render;
mod smtp;
mod transport;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::secret::ServerSecret;

use letter::Composer;
use render::Templates;
use transport::Transport;

pub use limit::MailLimit;
pub use link::Link;
pub use message::Message;

/// Why the service cannot start with its mail settings.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The URL of the mail server is wrong; the reason does not repeat it, for it may hold a password.
    #[error("KEYWARD_SMTP_URL: {0}")]
    SmtpUrl(String),
    /// The folder for mails cannot be made.
    #[error("KEYWARD_DATA_DIR: no folder for mails under {}: {source}", data_dir.display())]
    Folder {
        /// The data folder.
        data_dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The built-in texts are wrong.
    #[error("mail texts: {0}")]
    Texts(String),
}

/// Makes mails and sends them.
pub struct Mailer {
    composer: Composer,
    transport: Transport,
}

impl Mailer {
    /// With the configured transport; connects to nothing yet.
    ///
    /// # Errors
    /// A setting is wrong, or the folder for mails cannot be made.
    pub fn new(config: &Config, data_dir: &Path, secret: ServerSecret) -> Result<Self, SetupError> {
        let host = config.public_url().host();
        let from = config.mail_from.clone();
        Ok(Self {
            transport: Transport::new(config, data_dir)?,
            composer: Composer {
                service: from.name.clone().unwrap_or_else(|| host.clone()),
                from,
                app_url: config.app_url().as_str().to_owned(),
                host,
                secret,
                templates: Templates::new().map_err(|error| SetupError::Texts(error.to_string()))?,
            },
        })
    }
}
