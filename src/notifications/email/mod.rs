//! E-mail: a queue in the database, and the delivery from it.
//!
//! **Lifecycle.** An operation queues an [`Event`](super::event::Event) with [`outbox::enqueue`] in its own transaction. The
//! worker calls [`outbox::deliver_due`], which claims due rows for the length of a lease, composes and sends them outside of
//! any transaction, and marks them as sent. A failed e-mail is retried after growing pauses, until it is given up. After a
//! crash between sending and marking, an e-mail is sent again with the same bytes and Message-ID.
//!
//! **What must never happen.** A token is stored or logged: a row holds the id of the one-time token, from which the token
//! is derived when the e-mail is composed. A link starts with anything but the configured URL. Text that people entered is
//! interpreted as a header, markup or a template. A request waits for a mail server.
//!
//! [`render`] produces subject, plain text and HTML; [`compose`] the MIME message; [`delivery`] sends it to a mail server
//! ([`smtp`]) or writes it to a file ([`file`]).

mod compose;
mod delivery;
mod file;
pub mod limit;
pub mod outbox;
mod render;
mod smtp;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use compose::Composer;
use delivery::Delivery;

use crate::config::Config;
use crate::notifications::text::TextCatalog;
use crate::secret::ServerSecret;

pub use delivery::SetupError;
pub use outbox::SWEEP;

/// Composes and delivers e-mails.
pub struct Mailer {
    composer: Composer,
    delivery: Delivery,
}

impl Mailer {
    /// Connects to nothing yet.
    pub fn new(
        config: &Config,
        data_dir: &Path,
        secret: ServerSecret,
        texts: Arc<TextCatalog>,
    ) -> Result<Self, SetupError> {
        let host = config.public_url().host();
        let from = config.mail_from.clone();
        Ok(Self {
            delivery: Delivery::new(config, data_dir)?,
            composer: Composer {
                service: from.name.clone().unwrap_or_else(|| host.clone()),
                from,
                app_url: config.app_url().as_str().to_owned(),
                host,
                secret,
                texts,
            },
        })
    }
}
