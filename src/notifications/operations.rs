//! Creating, reading and deleting notifications.

use super::email::outbox;
use super::event::{Event, NotificationType, Subject};
use super::model::{Announcement, MailPreference, Notification, NotificationState, Recipient};
use super::store;
use crate::db::Tx;
use crate::error::Error;
use crate::values::Precondition;
use crate::values::ids::{NotificationId, UserId};

/// Notifies a person of an event in the app and, unless they opted out of its type, by e-mail.
pub fn notify(tx: &mut Tx<'_>, recipient: Recipient<'_>, event: &Event) -> Result<(), Error> {
    notify_in_app(tx, recipient.user_id, event)?;
    if wants_mail(tx, recipient.user_id, event)? {
        outbox::enqueue(tx, recipient.email, recipient.locale, event)?;
    }
    Ok(())
}

/// Notifies a person of an event in the app alone.
pub fn notify_in_app(tx: &mut Tx<'_>, user_id: UserId, event: &Event) -> Result<(), Error> {
    match event.notification_type() {
        Some(notification_type) => store::insert(tx, user_id, notification_type, event),
        None => Ok(()),
    }
}

/// Whether a person receives e-mail about an event.
pub fn wants_mail(tx: &mut Tx<'_>, user_id: UserId, event: &Event) -> Result<bool, Error> {
    match event.notification_type() {
        Some(kind) if !kind.is_security() => Ok(!store::has_opted_out(tx, user_id, kind)?),
        _ => Ok(true),
    }
}

/// Resolves every notification about `subject`, because the decision was made.
pub fn resolve(tx: &mut Tx<'_>, subject: Subject) -> Result<(), Error> {
    store::resolve(tx, subject)
}

/// Finds one of the user's notifications.
///
/// # Errors
/// `not_found`.
pub fn find(tx: &mut Tx<'_>, user_id: UserId, id: NotificationId) -> Result<Notification, Error> {
    store::list_by_id(tx, user_id, &[id])?
        .pop()
        .ok_or_else(Error::not_found)
}

/// Marks one of the user's notifications read or unread; `None` leaves it as it is.
///
/// # Errors
/// `not_found`; `precondition_failed`.
pub fn set_state(
    tx: &mut Tx<'_>,
    user_id: UserId,
    id: NotificationId,
    precondition: &Precondition,
    state: Option<NotificationState>,
) -> Result<Notification, Error> {
    let mut notification = store::find_for_update(tx, user_id, id)?.ok_or_else(Error::not_found)?;
    precondition.check(notification.version())?;
    if let Some(state) = state
        && state != notification.state()
    {
        notification.read_at = (state == NotificationState::Read).then_some(tx.now);
        store::set_read_at(tx, user_id, id, notification.read_at)?;
    }
    Ok(notification)
}

/// Deletes one of the user's notifications.
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

/// The user's choice for every type.
pub fn mail_preferences(tx: &mut Tx<'_>, user_id: UserId) -> Result<Vec<MailPreference>, Error> {
    let opt_outs = store::opt_outs(tx, user_id)?;
    let preference = |notification_type: &NotificationType| MailPreference {
        notification_type: *notification_type,
        wanted: notification_type.is_security() || !opt_outs.iter().any(|word| word == notification_type.as_str()),
    };
    Ok(NotificationType::ALL.iter().map(preference).collect())
}

/// Replaces the user's choices. A type without a choice is sent by e-mail.
pub fn replace_mail_preferences(
    tx: &mut Tx<'_>,
    user_id: UserId,
    preferences: &[MailPreference],
) -> Result<Vec<MailPreference>, Error> {
    let unwanted: Vec<NotificationType> = preferences
        .iter()
        .filter(|preference| !preference.wanted)
        .map(|preference| preference.notification_type)
        .collect();
    store::replace_opt_outs(tx, user_id, &unwanted)?;
    mail_preferences(tx, user_id)
}

/// Sends an announcement to every verified and enabled user, or to those of them who are members of its organisation, and
/// returns their number. Users who opted out of announcements receive no e-mail.
pub fn announce(tx: &mut Tx<'_>, announcement: &Announcement) -> Result<usize, Error> {
    let Announcement { title, body, org_id } = announcement.clone();
    let event = Event::Announcement { title, body, org_id };
    store::raise_statement_timeout(tx)?;
    let recipients = store::announce(tx, &event, org_id)?;
    outbox::enqueue_announcement(tx, &event, org_id)?;
    Ok(recipients)
}
