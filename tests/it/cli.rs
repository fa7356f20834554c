//! `keyward user` and `keyward migrate`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::support::{PASSWORD, TestApp};

const NEW: &str = "violet-kettle-orbit-saddle";

/// Runs a command on the database of the app, and returns its standard output or, on failure, its standard error.
fn keyward(app: &TestApp, arguments: &[&str], input: &str) -> Result<String, String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_keyward"))
        .args(arguments)
        .env_clear()
        .env("DATABASE_URL", app.database().url.expose_secret())
        .env("KEYWARD_DATA_DIR", app.folder.path())
        .env("KEYWARD_ARGON2_MEMORY_KIB", "8")
        .env("KEYWARD_ARGON2_ITERATIONS", "1")
        .current_dir(app.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stderr))
    }
}

#[actix_web::test]
async fn the_first_platform_admin_is_created_on_the_command_line() {
    let app = TestApp::start();
    let create = [
        "user",
        "create",
        "--email",
        "Root@example.com",
        "--username",
        "boss",
        "--role",
        "admin",
        "--verified",
    ];
    keyward(
        &app,
        &[&create[..], &["--password-stdin"]].concat(),
        &format!("{PASSWORD}\n"),
    )
    .unwrap();
    let tokens = app.log_in("boss", PASSWORD).await;
    let me = app
        .get("/me")
        .bearer(tokens["access_token"].as_str().unwrap())
        .await
        .expect(200);
    assert_eq!(
        (&me["role"], &me["email"]),
        (&json!("admin"), &json!("root@example.com"))
    );
    let again = keyward(&app, &[&create[..], &["--password-stdin"]].concat(), PASSWORD).unwrap_err();
    assert!(
        again.starts_with("keyward: ") && again.trim_end().lines().count() == 1,
        "{again}"
    );
    let weak = [
        "user",
        "create",
        "--email",
        "a@example.com",
        "--username",
        "ada",
        "--password-stdin",
    ];
    assert!(keyward(&app, &weak, "password").unwrap_err().contains("password: "));
}

#[actix_web::test]
async fn a_user_created_without_verified_has_to_use_the_mailed_link_first() {
    let app = TestApp::start();
    let create = [
        "user",
        "create",
        "--email",
        "ada@example.com",
        "--username",
        "ada",
        "--password-stdin",
    ];
    keyward(&app, &create, PASSWORD).unwrap();
    let login = json!({"login": "ada@example.com", "password": PASSWORD});
    app.post("/auth/login", &login).await.refused(403, "email_unverified");
    let token = app.last_mail_to("ada@example.com").await.token("verify-email");
    app.post("/auth/verify-email", &json!({"token": token, "password": PASSWORD}))
        .await
        .expect(204);
    app.log_in("ada", PASSWORD).await;
}

#[actix_web::test]
async fn an_operator_can_list_promote_disable_and_set_passwords() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    assert!(
        keyward(&app, &["user", "list"], "")
            .unwrap()
            .contains("ada@example.com\tada\tuser\tactive")
    );
    keyward(&app, &["user", "set-role", "ada", "admin"], "").unwrap();
    let promoted = app.log_in("ada", PASSWORD).await;
    let access = promoted["access_token"].as_str().unwrap();
    assert_eq!(app.get("/me").bearer(access).await.expect(200)["role"], "admin");
    keyward(&app, &["user", "disable", "ADA@example.com"], "").unwrap();
    // Another process disabled the account; the cache of this one must learn of it within a second.
    let started = std::time::Instant::now();
    while app.get("/me").bearer(&ada.access_token).await.status == 200 {
        assert!(started.elapsed().as_secs() < 1, "still good after a second");
    }
    let login = json!({"login": "ada", "password": PASSWORD});
    app.post("/auth/login", &login).await.refused(403, "account_disabled");
    keyward(&app, &["user", "enable", "ada"], "").unwrap();
    keyward(&app, &["user", "set-password", "ada", "--password-stdin"], NEW).unwrap();
    app.post("/auth/login", &login)
        .await
        .refused(401, "invalid_credentials");
    app.log_in("ada", NEW).await;
    assert!(app.last_mail_to("ada@example.com").await.link().is_none());
    assert!(
        keyward(&app, &["user", "disable", "nobody"], "")
            .unwrap_err()
            .contains("nobody")
    );
}

#[actix_web::test]
async fn migrating_an_empty_database_twice_succeeds() {
    let app = TestApp::start_unmigrated();
    app.get("/readyz").await.refused(503, "unavailable");
    keyward(&app, &["migrate"], "").unwrap();
    keyward(&app, &["migrate"], "").unwrap();
    app.get("/readyz").await.expect(200);
}
