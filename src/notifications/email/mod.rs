//! E-mail: a queue in the database, and the delivery from it.
//!
//! **An e-mail's life.** An operation queues an [`Event`](super::Event) with [`outbox::enqueue`] in its own transaction. The
//! worker calls [`outbox::deliver_due`], which claims due rows for the length of a lease, composes and sends them outside of
//! any transaction, and marks them as sent. A failed e-mail is retried after growing pauses, until it is given up. After a
//! crash between sending and marking, an e-mail is sent again with the same bytes and Message-ID.
//!
//! **What must never happen.** A token is stored or logged: a row holds the id of the one-time token, from which the token
//! is derived when the e-mail is composed. A link starts with anything but the configured URL. Typed text becomes a header,
//! markup or a template. A request waits for a mail server.
//!
//! [`render`] produces subject, plain text and HTML; [`compose`] the MIME message; [`delivery`] sends it to a mail server
//! ([`smtp`]) or writes it to a file ([`file`]).

mod compose;
mod delivery;
mod file;
mod limit;
pub mod link;
pub mod outbox;
mod render;
mod smtp;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use compose::Composer;
use delivery::Delivery;

use crate::state::State;

pub use limit::MailLimit;
pub use link::Link;

/// A mail setting that the service can't start with.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The reason doesn't repeat the URL, which may contain a password.
    #[error("KEYWARD_SMTP_URL: {0}")]
    SmtpUrl(String),
    #[error("KEYWARD_DATA_DIR: cannot create a directory for e-mails under {}: {source}", data_dir.display())]
    MailDir { data_dir: PathBuf, source: std::io::Error },
}

/// Composes and delivers e-mails.
pub struct Mailer {
    composer: Composer,
    delivery: Delivery,
}

impl Mailer {
    /// Connects to nothing yet.
    pub fn new(state: &State, data_dir: &Path) -> Result<Self, SetupError> {
        let host = state.config.public_url().host();
        let from = state.config.mail_from.clone();
        Ok(Self {
            delivery: Delivery::new(&state.config, data_dir)?,
            composer: Composer {
                service: from.name.clone().unwrap_or_else(|| host.clone()),
                from,
                app_url: state.config.app_url().as_str().to_owned(),
                host,
                secret: state.secret.clone(),
                texts: Arc::clone(&state.texts),
            },
        })
    }
}
