//! Unit tests of rendering, composing and delivering; the outbox is tested with a database in `tests/it`.

mod compose;
mod delivery;
mod render;

use std::sync::Arc;

use uuid::Uuid;

use super::compose::{ComposedEmail, Composer, Email, Encoding};
use crate::notifications::event::Event;
use crate::notifications::event::tests::{at, samples, token_id};
use crate::notifications::text::TextCatalog;
use crate::secret::ServerSecret;
use crate::values::ids::MailId;
use crate::values::locale::Locale;

const APP_URL: &str = "https://accounts.example.com/app";
const RECIPIENT: &str = "ada@example.org";

fn composer() -> Composer {
    Composer {
        from: "Example Accounts <no-reply@example.com>".parse().unwrap(),
        service: "Example Accounts".to_owned(),
        app_url: APP_URL.to_owned(),
        host: "accounts.example.com".to_owned(),
        secret: ServerSecret::new(&[7; 32]),
        texts: Arc::new(TextCatalog::strict().unwrap()),
    }
}

fn email(locale: Locale, event: Event) -> Email {
    Email {
        id: MailId::from(Uuid::parse_str("0193a5a0-0000-7000-8000-000000000001").unwrap()),
        recipient: RECIPIENT.to_owned(),
        locale,
        event,
        created_at: at(),
        merged: 0,
    }
}

fn composed(locale: Locale, event: Event, encoding: Encoding) -> ComposedEmail {
    composer().compose(&email(locale, event), encoding).unwrap()
}
