//! What can be done with notifications.

use crate::db::Tx;
use chrono::TimeDelta;

use super::model::{Notice, Notification, NotificationState, NotificationType};
use super::store;
use crate::auth::Caller;
use crate::error::Error;
use crate::notifications::email::Message;
use crate::values::Precondition;
use crate::values::ids::{NotificationId, OrgId, UserId};

/// How long what was read or resolved is kept,
const KEEP_DONE: TimeDelta = TimeDelta::days(90);
/// and everything else.
const KEEP: TimeDelta = TimeDelta::days(365);
/// How many are deleted in one statement.
const SWEEP_BATCH: i64 = 5_000;

/// Marks one of the caller's notifications, and shows it.
///
/// # Errors
/// `not_found`; `precondition_failed`.
pub fn set_state<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    id: NotificationId,
    precondition: &Precondition,
    state: Option<NotificationState>,
) -> Result<Notification, Error> {
    let user_id = caller.user_id;
    let mut notification = store::find_for_update(tx, user_id, id)?.ok_or_else(Error::not_found)?;
    precondition.check(notification.version())?;
    let new = state.filter(|state| *state != notification.state());
    if let Some(new) = new {
        notification.read_at = (new == NotificationState::Read).then(|| caller.now());
        store::set_read_at(tx, user_id, id, notification.read_at)?;
    }
    Ok(notification)
}

/// Deletes one of the caller's notifications.
///
/// # Errors
/// `not_found`.
pub fn delete(tx: &mut Tx<'_>, user_id: UserId, id: NotificationId) -> Result<(), Error> {
    if store::delete(tx, user_id, id)? {
        Ok(())
    } else {
        Err(Error::not_found())
    }
}

/// Every type, and whether a person wants it by mail.
pub fn preferences(tx: &mut Tx<'_>, user_id: UserId) -> Result<Vec<(NotificationType, bool)>, Error> {
    let unwanted = store::opt_outs(tx, user_id)?;
    let wanted = |kind: NotificationType| kind.is_security() || !unwanted.iter().any(|word| word == kind.as_str());
    Ok(NotificationType::ALL
        .iter()
        .map(|kind| (*kind, wanted(*kind)))
        .collect())
}

/// Something the platform, or an organisation, tells all its people.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// One line.
    pub title: String,
    /// The text.
    pub body: String,
    /// Whose members are told; none: everybody.
    pub org_id: Option<OrgId>,
}

/// Tells everybody with a proven and enabled account (of the organisation); answers how many that are. Mail goes to those
/// who want it. The caller wakes the worker after the commit.
///
/// # Errors
/// When the database fails.
pub fn announce(tx: &mut Tx<'_>, announcement: &Announcement) -> Result<usize, Error> {
    let Announcement { title, body, org_id } = announcement.clone();
    let notice = Notice::Announcement {
        title: title.clone(),
        body: body.clone(),
        org_id,
    };
    store::allow_time(tx)?;
    let told = store::announce(tx, &notice, org_id)?;
    store::mail_announcement(tx, &Message::Announcement { title, body }, org_id)?;
    Ok(told)
}

/// Deletes what is past its time; the rest of what there is too much of, at the next call.
///
/// # Errors
/// When the database fails.
pub fn sweep(tx: &mut Tx<'_>) -> Result<usize, Error> {
    store::delete_old(tx, tx.now - KEEP, tx.now - KEEP_DONE, SWEEP_BATCH)
}
