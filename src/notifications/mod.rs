//! Notifications: what people are told about their account and their organisations, in the app and by e-mail.
//!
//! An operation passes an [`Event`] to [`notify`] in its own transaction, so that a notification exists if and only if the
//! event happened. `notify` writes the notification and, unless the recipient opted out, queues an e-mail. [`notify_in_app`]
//! writes the notification alone; [`email::outbox::enqueue`] queues an e-mail alone, for an event without notification.
//!
//! **A notification's life.** Its row holds the event's data; title and body are rendered when it is read, in the reader's
//! language. A notification about a pending decision (an invitation, a join request, a change of address) carries the
//! requests that decide it. [`resolve`] ends it for every recipient once the decision is made; it also ends when the
//! invitation or change expires. Read and resolved notifications are deleted after 90 days, all others after a year.
//!
//! **The stream.** A trigger announces each insertion on the PostgreSQL channel `keyward_notifications`. Each instance
//! listens on one connection and wakes the recipient's streams ([`NotificationStreams`]), which fetch the new rows. When the
//! listening connection was lost, they look for what they missed.
//!
//! **What must never happen.** A stream outlives its session by more than a second, or delays a shutdown. Typed text becomes
//! a template. A user can switch off e-mail about the security of the account.

pub mod email;
mod event;
mod model;
mod operations;
mod routes;
mod store;
mod stream;
mod text;

pub use event::{Event, Link, NotificationType, PasswordChangeMethod, Subject};
pub use model::{Announcement, Recipient};
pub use operations::{announce, notify, notify_in_app, notify_limited, resolve, sweep, wants_mail};
pub use stream::{FindLiveSessions, NotificationStreams};
pub use text::{TextCatalog, TextError};

use utoipa_actix_web::service_config::ServiceConfig;

/// The routes of this slice.
pub fn router(config: &mut ServiceConfig) {
    stream::router(config);
    routes::router(config);
}
