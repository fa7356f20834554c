//! The server's user if the tests run as root. Other users skip what only root can test.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use embedded_postgres::{EmbeddedPostgres, Error};
use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::support::{count_rows, fast_options, insert_row, open_folder, start, start_error};

#[test]
fn root_allows_others_to_enter_its_data_folder_but_nothing_more() {
    let data_dir = TempDir::new().unwrap();
    fs::set_permissions(data_dir.path(), Permissions::from_mode(0o700)).unwrap();
    let postgres = start(data_dir.path());
    let folder = fs::metadata(data_dir.path()).unwrap().mode() & 0o777;
    let cluster = fs::metadata(postgres.cluster_dir()).unwrap();
    assert_eq!(cluster.mode() & 0o777, 0o700);
    if geteuid().is_root() {
        assert_eq!(folder, 0o711);
        assert_ne!(cluster.uid(), 0);
    } else {
        assert_eq!(folder, 0o700);
    }
    postgres.stop().unwrap();
}

#[test]
fn a_cluster_below_a_closed_folder_is_created_elsewhere_and_found_again() {
    if !geteuid().is_root() {
        return;
    }
    let closed = TempDir::new().unwrap();
    fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
    let elsewhere = open_folder();
    let clusters = elsewhere.path().join("clusters");
    let data_dir = closed.path().join("data");
    let options = fast_options(&data_dir).root_cluster_dir(&clusters);
    let postgres = EmbeddedPostgres::start(&options).unwrap();
    insert_row(&postgres);
    let cluster = postgres.cluster_dir().to_owned();
    assert!(cluster.starts_with(&clusters), "{}", cluster.display());
    assert_eq!(fs::read_link(data_dir.join("postgres")).unwrap(), cluster);
    assert_eq!(fs::metadata(closed.path()).unwrap().mode() & 0o777, 0o700);
    postgres.stop().unwrap();

    // The link leads to the cluster, wherever the data folder is and whether or not it is closed.
    let moved = closed.path().join("moved");
    fs::rename(&data_dir, &moved).unwrap();
    fs::set_permissions(closed.path(), Permissions::from_mode(0o755)).unwrap();
    let postgres = start(&moved);
    assert_eq!(count_rows(&postgres), 1);
    assert_eq!(postgres.cluster_dir(), cluster);
    postgres.stop().unwrap();
}

#[test]
fn a_cluster_that_becomes_unreachable_is_not_replaced() {
    if !geteuid().is_root() {
        return;
    }
    let parent = open_folder();
    let data_dir = parent.path().join("data");
    start(&data_dir).stop().unwrap();
    fs::set_permissions(parent.path(), Permissions::from_mode(0o700)).unwrap();
    let (error, line) = start_error(&fast_options(&data_dir));
    assert!(matches!(error, Error::ClosedFolder { .. }), "{line}");
    assert!(line.contains("chmod o+x"), "{line}");
}
