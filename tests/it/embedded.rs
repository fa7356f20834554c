//! The program without `DATABASE_URL`: it uses a private PostgreSQL in its data folder.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use diesel::{Connection as _, PgConnection, RunQueryDsl as _, sql_query};
use embedded_postgres::{EmbeddedPostgres, Options};
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

fn migrate(data_dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keyward"))
        .arg("migrate")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("KEYWARD_DATA_DIR", data_dir)
        .current_dir("/")
        .output()
        .unwrap()
}

#[test]
fn a_command_starts_a_private_postgresql_and_stops_it() {
    let data_dir = TempDir::new().unwrap();
    let output = migrate(data_dir.path());
    assert!(output.status.success(), "{output:?}");
    // Names in existing data folders, which must not change.
    for name in [
        "postgres/PG_VERSION",
        "postgres-password",
        "postgres.log",
        "postgres.lock",
        "postgres.users",
    ] {
        assert!(data_dir.path().join(name).exists(), "{name}");
    }
    assert!(
        !data_dir.path().join("postgres/postmaster.pid").exists(),
        "still running"
    );
    let postgres = EmbeddedPostgres::start(&Options::new(data_dir.path()).name("keyward")).unwrap();
    let url = postgres.database_url().expose_secret();
    assert!(url.starts_with("postgresql://keyward:") && url.ends_with("/keyward"));
    let mut connection = PgConnection::establish(url).unwrap();
    sql_query("SELECT FROM users").execute(&mut connection).unwrap();
    drop(connection);
    postgres.stop().unwrap();
}

#[test]
fn an_unusable_data_folder_is_reported_with_its_setting() {
    let parent = TempDir::new().unwrap();
    fs::write(parent.path().join("file"), "").unwrap();
    let output = migrate(&parent.path().join("file/data"));
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && line.trim_end().lines().count() == 1,
        "{line}"
    );
    assert!(line.contains("/file: ") && line.contains("KEYWARD_DATA_DIR"), "{line}");
}
