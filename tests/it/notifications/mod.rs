mod announcements;
mod list;
mod mail_files;
mod mail_limits;
mod preferences;
mod retention;
mod stream;

use keyward::notifications::{Event, notify_in_app};
use keyward::values::ids::UserId;

use crate::support::TestApp;

/// Notifies a person of an announcement.
pub async fn announce(app: &TestApp, user_id: UserId, title: &str) {
    let event = Event::Announcement {
        title: title.to_owned(),
        body: format!("About {title}"),
        org_id: None,
    };
    app.transaction(move |tx| notify_in_app(tx, user_id, &event)).await;
}
