//! Data folders whose cluster or password cannot be used as it is.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use embedded_postgres::Error;
use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::support::{count_rows, fast_options, insert_row, start, start_error};

#[test]
fn a_cluster_of_a_version_that_is_not_installed_is_refused() {
    let data_dir = TempDir::new().unwrap();
    fs::create_dir(data_dir.path().join("postgres")).unwrap();
    fs::write(data_dir.path().join("postgres/PG_VERSION"), "99\n").unwrap();
    let (error, line) = start_error(&fast_options(data_dir.path()));
    assert!(matches!(error, Error::VersionNotInstalled { .. }), "{line}");
    assert!(line.contains("install PostgreSQL 99"), "{line}");
}

#[test]
fn a_folder_that_is_not_a_cluster_is_left_untouched() {
    let data_dir = TempDir::new().unwrap();
    fs::create_dir(data_dir.path().join("postgres")).unwrap();
    fs::write(data_dir.path().join("postgres/holiday.jpg"), "").unwrap();
    let (error, line) = start_error(&fast_options(data_dir.path()));
    assert!(matches!(error, Error::NotACluster(_)), "{line}");
    assert!(data_dir.path().join("postgres/holiday.jpg").exists());
}

#[test]
fn a_broken_link_is_not_replaced_by_a_new_cluster() {
    let data_dir = TempDir::new().unwrap();
    symlink("/nowhere/at-all", data_dir.path().join("postgres")).unwrap();
    let (error, line) = start_error(&fast_options(data_dir.path()));
    assert!(matches!(error, Error::BrokenLink(_)), "{line}");
}

#[test]
fn a_data_folder_that_cannot_be_created_is_named() {
    let parent = TempDir::new().unwrap();
    fs::write(parent.path().join("file"), "").unwrap();
    let (error, line) = start_error(&fast_options(&parent.path().join("file/data")));
    assert!(matches!(error, Error::Io { .. }) && line.contains("/file: "), "{line}");
}

#[test]
fn a_data_folder_that_is_not_writable_is_refused() {
    // Root can write everywhere.
    if geteuid().is_root() {
        return;
    }
    let data_dir = TempDir::new().unwrap();
    fs::set_permissions(data_dir.path(), Permissions::from_mode(0o500)).unwrap();
    let (_, line) = start_error(&fast_options(data_dir.path()));
    fs::set_permissions(data_dir.path(), Permissions::from_mode(0o700)).unwrap();
    assert!(line.contains("Permission denied"), "{line}");
}

#[test]
fn a_lost_password_is_replaced_when_the_server_is_started_again() {
    let data_dir = TempDir::new().unwrap();
    let password = data_dir.path().join("postgres-password");
    let first = start(data_dir.path());
    insert_row(&first);
    fs::remove_file(&password).unwrap();
    let (error, line) = start_error(&fast_options(data_dir.path()));
    assert!(matches!(error, Error::PasswordLost { .. }), "{line}");
    first.stop().unwrap();
    fs::write(&password, "damaged").unwrap();
    let second = start(data_dir.path());
    assert_eq!(count_rows(&second), 1);
    second.stop().unwrap();
}
