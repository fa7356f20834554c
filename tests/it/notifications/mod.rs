mod announcements;
mod list;
mod preferences;
mod retention;
mod stream;

use keyward::notifications::{Notice, notify};
use keyward::values::ids::UserId;

use crate::support::TestApp;

/// Tells somebody that something was announced.
pub async fn tell(app: &TestApp, user_id: UserId, title: &str) {
    let notice = Notice::Announcement {
        title: title.to_owned(),
        body: format!("About {title}"),
        org_id: None,
    };
    app.transaction(move |tx| notify(tx, user_id, &notice, None)).await;
}
