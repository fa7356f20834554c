//! The mails that the service sent.

use std::sync::Arc;

use keyward::notifications::email::{Mailer, outbox};
use mail_parser::MessageParser;

use super::TestApp;

/// A parsed mail.
#[derive(Clone, Debug)]
pub struct Mail {
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
}

impl Mail {
    /// Page and token of the only link in the plain text.
    pub fn link(&self) -> Option<(String, String)> {
        let start = self.text.find("https://app.keyward.test/")?;
        let link = self.text[start..].split_whitespace().next().unwrap();
        assert_eq!(self.text.matches("#token=").count(), 1, "a mail has one link");
        let (page, token) = link
            .strip_prefix("https://app.keyward.test/")
            .unwrap()
            .split_once("#token=")
            .unwrap();
        Some((page.to_owned(), token.to_owned()))
    }

    /// The token of the link to `page`.
    #[track_caller]
    pub fn token(&self, page: &str) -> String {
        let (found, token) = self.link().expect("the mail has a link");
        assert_eq!(found, page);
        token
    }
}

impl TestApp {
    pub fn mailer(&self) -> Mailer {
        let (secret, texts) = (self.state.secret.clone(), Arc::clone(&self.state.texts));
        Mailer::new(&self.state.config, self.folder.path(), secret, texts).unwrap()
    }

    /// Delivers the outbox and returns the number of mails that were sent.
    pub async fn deliver(&self, mailer: &Mailer) -> usize {
        let delivered = outbox::deliver_due(&self.state.db, self.state.clock.now(), mailer);
        delivered.await.unwrap()
    }

    /// Delivers the outbox and returns all mails of this app, oldest first.
    pub async fn mails(&self) -> Vec<Mail> {
        self.deliver(&self.mailer()).await;
        let mut files: Vec<_> = std::fs::read_dir(self.folder.path().join("mail"))
            .map(|folder| folder.map(|file| file.unwrap().path()).collect())
            .unwrap_or_default();
        files.sort();
        files.iter().map(|file| read(&std::fs::read(file).unwrap())).collect()
    }

    /// The mails to one address.
    pub async fn mails_to(&self, address: &str) -> Vec<Mail> {
        self.mails()
            .await
            .into_iter()
            .filter(|mail| mail.to == address)
            .collect()
    }

    /// The newest mail to one address.
    pub async fn last_mail_to(&self, address: &str) -> Mail {
        self.mails_to(address)
            .await
            .pop()
            .unwrap_or_else(|| panic!("no mail to {address}"))
    }
}

fn read(bytes: &[u8]) -> Mail {
    let message = MessageParser::default().parse(bytes).unwrap();
    Mail {
        to: message.to().unwrap().first().unwrap().address().unwrap().to_owned(),
        subject: message.subject().unwrap().to_owned(),
        text: message.body_text(0).unwrap().into_owned(),
        html: message.body_html(0).unwrap().into_owned(),
    }
}
