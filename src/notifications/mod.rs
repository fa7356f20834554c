//! The notification centre: what a person is told about their account and their organisations.
//!
//! A notification is written in the transaction of what it tells. Its text is made when it is read, in the reader's
//! language. One that is about something that can still be decided (an invitation, a request to join, a change of
//! address) says how to decide it, and is resolved, everywhere, once that is done or has expired.
//!
//! **The stream.** Every insertion is announced by PostgreSQL (a trigger, `keyward_notifications`); each instance listens
//! on one connection ([`Centre`], `hub`), and wakes the streams of whoever it concerns, which fetch what is new. So a
//! stream holds ids, never news; what it misses while the listening connection is down, it fetches when that is back.
//!
//! **What must never happen.** That a stream outlives its session by more than a second, or holds up the end of the
//! service; that text somebody typed becomes a template; that a mail about the safety of an account can be switched off.

pub mod email;
mod model;
mod operations;
mod routes;
mod store;
mod stream;
mod text;

pub use model::{Notice, NotificationType, Recipient, Subject};
pub use operations::{Announcement, announce, sweep};
pub use routes::router;
pub use stream::{Centre, LiveAmong};

use crate::db::Tx;

use crate::error::Error;
use crate::notifications::email::{Message, outbox};
use crate::values::ids::UserId;

/// Tells a person something, in the caller's transaction.
///
/// # Errors
/// When the database fails.
pub fn notify(tx: &mut Tx<'_>, user_id: UserId, notice: &Notice, about: Option<Subject>) -> Result<(), Error> {
    store::insert(tx, user_id, notice, about)
}

/// Tells a person something, in the notification centre and, unless they do not want that, by mail. The caller wakes the
/// worker (`State::mail_waiting`) after the commit.
///
/// # Errors
/// When the database fails.
pub fn tell(
    tx: &mut Tx<'_>,
    recipient: Recipient<'_>,
    (notice, about): (&Notice, Option<Subject>),
    mail: &Message,
) -> Result<(), Error> {
    store::insert(tx, recipient.user_id, notice, about)?;
    if wants_mail(tx, recipient.user_id, notice.kind())? {
        outbox::enqueue(tx, recipient.email, recipient.locale, mail)?;
    }
    Ok(())
}

/// Whether a person wants notifications of this type by mail as well.
///
/// # Errors
/// When the database fails.
pub fn wants_mail(tx: &mut Tx<'_>, user_id: UserId, kind: NotificationType) -> Result<bool, Error> {
    Ok(kind.is_security() || !store::has_opted_out(tx, user_id, kind)?)
}

/// Settles all notifications about something that was decided, in the caller's transaction.
///
/// # Errors
/// When the database fails.
pub fn resolve(tx: &mut Tx<'_>, about: Subject) -> Result<(), Error> {
    store::resolve(tx, about)
}
