//! Access to the server, and what its files reveal.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection};
use nix::unistd::geteuid;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use crate::support::{connect, evaluate, execute, socket_dir, start};

#[test]
fn the_server_accepts_only_its_own_user_with_the_password() {
    let data_dir = TempDir::new().unwrap();
    let postgres = start(data_dir.path());
    assert_eq!(evaluate(&postgres, "current_setting('listen_addresses')"), "");
    assert_eq!(
        evaluate(
            &postgres,
            "SELECT string_agg(concat_ws(' ', type, database, user_name, auth_method), ',') FROM pg_hba_file_rules"
        ),
        "local {all} {all} scram-sha-256"
    );
    assert_eq!(fs::metadata(socket_dir(&postgres)).unwrap().mode() & 0o777, 0o700);
    let url = postgres.database_url().expose_secret();
    let (scheme, password) = url.split_once("app:").unwrap();
    let wrong_password = format!("{scheme}app:0{password}");
    let error = PgConnection::establish(&wrong_password)
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(error.contains("password authentication failed"), "{error}");
    postgres.stop().unwrap();
}

#[test]
fn the_files_are_readable_by_their_owner_only() {
    let data_dir = TempDir::new().unwrap();
    let postgres = start(data_dir.path());
    for name in ["postgres-password", "postgres.log", "postgres.lock", "postgres.users"] {
        let file = fs::metadata(data_dir.path().join(name)).unwrap();
        assert_eq!((file.mode() & 0o777, file.uid()), (0o600, geteuid().as_raw()), "{name}");
    }
    assert_eq!(fs::metadata(postgres.cluster_dir()).unwrap().mode() & 0o777, 0o700);
    postgres.stop().unwrap();
}

#[test]
fn the_cluster_has_checksums_and_is_encoded_in_utf_8() {
    let data_dir = TempDir::new().unwrap();
    let postgres = start(data_dir.path());
    assert_eq!(evaluate(&postgres, "current_setting('data_checksums')"), "on");
    assert_eq!(evaluate(&postgres, "current_setting('server_encoding')"), "UTF8");
    postgres.stop().unwrap();
}

#[test]
fn the_log_contains_errors_but_no_statements_or_values() {
    let data_dir = TempDir::new().unwrap();
    let postgres = start(data_dir.path());
    execute(
        &postgres,
        "CREATE TABLE t (v text UNIQUE); INSERT INTO t VALUES ('ada@example.org')",
    );
    connect(&postgres)
        .batch_execute("INSERT INTO t VALUES ('ada@example.org')")
        .unwrap_err();
    postgres.stop().unwrap();
    let log = fs::read_to_string(data_dir.path().join("postgres.log")).unwrap();
    assert!(log.contains("duplicate key"), "{log}");
    assert!(!log.contains("ada@example.org") && !log.contains("INSERT"), "{log}");
}
