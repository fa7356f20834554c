//! Notifications of events in a user's account and organisations, in the app and by e-mail.
//!
//! An operation passes an [`Event`] to [`notify`] in its own transaction, so that a notification exists if and only if the
//! event happened. `notify` writes the notification and, unless the recipient opted out, queues an e-mail. [`notify_in_app`]
//! writes the notification alone; [`email::outbox::enqueue`] queues an e-mail alone, for an event without notification.
//!
//! **Lifecycle.** The row of a notification holds the event's data; title and body are rendered when it is read, in the reader's
//! language. A notification about a pending decision (an invitation, a request to join, a change of e-mail address) lists
//! the API requests that decide it. [`resolve`] ends it for every recipient once the decision is made; it also ends when
//! the invitation or change expires. Read and resolved notifications are deleted after 180 days, all others after twice as long.
//!
//! **The stream.** A trigger calls `pg_notify` on the channel `keyward_notifications` for each insertion. Each instance
//! listens on one connection and wakes the recipient's streams ([`NotificationStreams`]), which fetch the new rows. After the
//! listening connection was lost, they query for rows that they missed.
//!
//! **What must never happen.** A stream outlives its session by more than a second, or delays a shutdown. Text that people
//! entered is interpreted as a template. A user can switch off e-mail about the security of the account.

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
pub use operations::{announce, notify, notify_in_app, resolve, wants_mail};
pub use store::SWEEPS;
pub use stream::{FindLiveSessions, NotificationStreams};
pub use text::{TextCatalog, TextError};

use utoipa_actix_web::service_config::ServiceConfig;

/// The routes of this slice.
pub fn router(config: &mut ServiceConfig) {
    stream::router(config);
    routes::router(config);
}
