//! The logo of an organisation.

use keyward::auth::OrgRole;
use serde_json::Value;

use crate::support::{TestApp, png};

#[actix_web::test]
async fn a_logo_can_be_set_replaced_and_removed() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let org = app.org(&ada, "Acme").await;
    app.join(&org, &bob, OrgRole::Member).await;
    let path = format!("/orgs/{org}/logo");
    let put = |token: &str| app.request("PUT", &path).body("image/png", png(8, 6)).bearer(token);
    put(&bob.access_token).await.refused(403, "forbidden_role");
    let first = put(&ada.access_token).await.expect(200)["logo_url"]
        .as_str()
        .unwrap()
        .to_owned();
    let image = first.strip_prefix("http://keyward.test").unwrap();
    assert_eq!(app.get(image).await.header("content-type"), Some("image/webp"));
    let read = app
        .get(&format!("/orgs/{org}"))
        .bearer(&bob.access_token)
        .await
        .expect(200);
    assert_eq!(read["logo_url"], first.as_str());
    let second = put(&ada.access_token).await.expect(200)["logo_url"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_ne!(first, second);
    app.get(image).await.refused(404, "not_found");
    app.delete(&path).bearer(&ada.access_token).await.expect(204);
    let read = app
        .get(&format!("/orgs/{org}"))
        .bearer(&bob.access_token)
        .await
        .expect(200);
    assert_eq!(read["logo_url"], Value::Null);
    app.request("PUT", &path)
        .body("image/gif", png(8, 6))
        .bearer(&ada.access_token)
        .await
        .refused(415, "unsupported_media_type");
    assert_eq!(
        app.audit_actions(&org),
        [
            "org.created",
            "org.logo_changed",
            "org.logo_changed",
            "org.logo_changed"
        ]
    );
}
