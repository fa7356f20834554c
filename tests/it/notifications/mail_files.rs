//! E-mails that are written to files.

use chrono::TimeDelta;
use keyward::app::worker;
use serde_json::json;

use crate::support::{PASSWORD, TestApp};

#[actix_web::test]
async fn an_email_that_cannot_be_written_is_kept_and_written_later() {
    let app = TestApp::start();
    let folder = app.folder.path().join("mail");
    let mailer = app.mailer();
    std::fs::remove_dir(&folder).unwrap();
    std::fs::write(&folder, "").unwrap();
    let registration = json!({"email": "ada@example.com", "password": PASSWORD});
    app.post("/auth/register", &registration).await.expect(202);
    assert_eq!(app.deliver(&mailer).await, 0);
    let waiting = "SELECT count(*) FROM mail_outbox WHERE sent_at IS NULL AND failed_at IS NULL \
                   AND last_error LIKE 'cannot write to %/mail: %'";
    assert_eq!(app.number(waiting), 1);
    app.person("bob").await;
    app.get("/readyz").await.expect(200);
    worker::remind(&app.state).await.unwrap();

    std::fs::remove_file(&folder).unwrap();
    app.advance(TimeDelta::minutes(1));
    assert!(app.deliver(&mailer).await > 0);
    app.last_mail_to("ada@example.com").await.token("verify-email");
}
