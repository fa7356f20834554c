//! Start and stop with one user.

use std::fs;

use embedded_postgres::{EmbeddedPostgres, Error, Options};
use tempfile::TempDir;

use crate::support::{
    count_rows, evaluate, fast_options, insert_row, is_running, open_folder, server_pid, start, start_error,
};

#[test]
fn data_survives_a_restart() {
    let data_dir = TempDir::new().unwrap();
    let first = start(data_dir.path());
    insert_row(&first);
    let cluster = first.cluster_dir().to_owned();
    first.stop().unwrap();
    assert!(!is_running(&cluster));
    let second = start(data_dir.path());
    assert_eq!(count_rows(&second), 1);
    second.stop().unwrap();
    assert!(!is_running(&cluster));
}

#[test]
fn a_missing_data_folder_is_created_and_the_default_settings_apply() {
    let parent = open_folder();
    let data_dir = parent.path().join("some \"where\" 50% élse/data");
    let postgres = EmbeddedPostgres::start(&Options::new(data_dir)).unwrap();
    insert_row(&postgres);
    assert_eq!(evaluate(&postgres, "current_setting('fsync')"), "on");
    assert_eq!(evaluate(&postgres, "current_setting('max_connections')"), "100");
    postgres.stop().unwrap();
}

#[test]
fn the_name_is_that_of_the_role_and_the_database() {
    let data_dir = TempDir::new().unwrap();
    // A keyword of SQL, which has to be quoted.
    let postgres = EmbeddedPostgres::start(&fast_options(data_dir.path()).name("user")).unwrap();
    assert_eq!(evaluate(&postgres, "current_user"), "user");
    assert_eq!(evaluate(&postgres, "current_database()"), "user");
    postgres.stop().unwrap();
}

#[test]
fn an_invalid_name_is_rejected_before_anything_is_created() {
    let parent = TempDir::new().unwrap();
    let data_dir = parent.path().join("data");
    let (error, _) = start_error(&fast_options(&data_dir).name("x\"; DROP DATABASE y"));
    assert!(matches!(error, Error::InvalidName(_)));
    assert!(!data_dir.exists());
}

#[test]
fn dropping_the_handle_stops_the_server() {
    let data_dir = TempDir::new().unwrap();
    let postgres = start(data_dir.path());
    let cluster = postgres.cluster_dir().to_owned();
    drop(postgres);
    assert!(!is_running(&cluster));
}

#[test]
fn a_failed_start_reports_the_reason_from_the_log() {
    let data_dir = TempDir::new().unwrap();
    start(data_dir.path()).stop().unwrap();
    let (_, line) = start_error(&fast_options(data_dir.path()).settings([("shared_buffers", "a lot")]));
    assert!(
        line.starts_with("PostgreSQL could not start: invalid value for parameter \"shared_buffers\""),
        "{line}"
    );
    assert!(line.contains("postgres.log"), "{line}");
}

#[test]
fn ctrl_c_does_not_reach_the_server() {
    let data_dir = TempDir::new().unwrap();
    let postgres = start(data_dir.path());
    let pid = server_pid(postgres.cluster_dir());
    // The fields after the program name, which is in parentheses, are state, parent and process group.
    if let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) {
        let group = stat.rsplit(") ").next().unwrap().split(' ').nth(2).unwrap();
        assert_eq!(group, pid.to_string());
    }
    postgres.stop().unwrap();
}
