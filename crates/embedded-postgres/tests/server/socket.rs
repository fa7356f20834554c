//! Data folders whose path cannot be that of a socket.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use embedded_postgres::Error;

use crate::support::{count_rows, fast_options, insert_row, open_folder, socket_dir, start, start_error};

#[test]
fn a_path_with_a_comma_gets_its_socket_in_tmp() {
    let parent = open_folder();
    let postgres = start(&parent.path().join("here, there"));
    insert_row(&postgres);
    assert!(socket_dir(&postgres).starts_with("/tmp"));
    postgres.stop().unwrap();
}

#[test]
fn a_long_path_gets_its_socket_in_a_private_directory_in_tmp() {
    let parent = open_folder();
    let data_dir = parent.path().join("long".repeat(40)).join("path".repeat(40));
    let postgres = start(&data_dir);
    insert_row(&postgres);
    let dir = socket_dir(&postgres);
    assert!(dir.to_str().unwrap().starts_with("/tmp/app-"), "{}", dir.display());
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    postgres.stop().unwrap();
    assert!(!dir.exists());

    // A link that another user could have prepared.
    symlink(parent.path(), &dir).unwrap();
    let (error, line) = start_error(&fast_options(&data_dir));
    assert!(matches!(error, Error::UnsafeSocketDir(_)), "{line}");
    fs::remove_file(&dir).unwrap();

    // A directory that other users can write to.
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
    let (error, line) = start_error(&fast_options(&data_dir));
    assert!(matches!(error, Error::UnsafeSocketDir(_)), "{line}");
    fs::remove_dir(&dir).unwrap();

    let postgres = start(&data_dir);
    assert_eq!(count_rows(&postgres), 1);
    postgres.stop().unwrap();
}
