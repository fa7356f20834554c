use keyward::app::{self, Keystore};
use keyward::clock::Clock;
use serde_json::json;

use crate::support::{ScopesFile, TestApp};

#[actix_web::test]
async fn the_catalog_lists_keywards_own_scopes_before_those_of_the_file() {
    let file = ScopesFile::usual();
    let app = TestApp::start_with(&[("KEYWARD_SCOPES_FILE", file.path())]);
    let list = app.get("/scopes").await.expect(200);
    let data = list["data"].as_array().unwrap();
    let names: Vec<&str> = data.iter().map(|scope| scope["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "me:read",
            "me:write",
            "keys:read",
            "orgs:read",
            "members:read",
            "notifications:read",
            "keys:verify",
            "tokens:introspect",
            "data:read",
            "data:write",
            "data:erase",
            "mail:send"
        ]
    );
    assert_eq!(
        data[10],
        json!({"name": "data:erase", "service": "data", "description": "…", "min_role": "admin"})
    );
    assert!(data[0]["min_role"].is_null());
}

#[test]
fn a_mistake_in_the_scopes_file_prevents_the_start() {
    let file = ScopesFile::with("[[scope]]\nname = \"a b\"\n");
    let settings = [("KEYWARD_SCOPES_FILE".to_owned(), file.path().to_owned())];
    let config = keyward::config::Config::from_environment(settings).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let material = Keystore::load(&config, folder.path()).unwrap();
    let url = "postgres://nobody@localhost/none".into();
    let error = app::build_state(config, &url, material, Clock::system()).err().unwrap();
    let line = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        line.starts_with("KEYWARD_SCOPES_FILE: ") && !line.contains('\n'),
        "{line}"
    );
}
