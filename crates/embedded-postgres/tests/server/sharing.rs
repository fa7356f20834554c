//! Several processes or threads on one data folder.

use std::fs;
use std::process::Command;
use std::thread;

use embedded_postgres::Error;
use tempfile::TempDir;

use crate::support::{
    OtherProcess, count_rows, count_starts, evaluate, execute, fast_options, insert_row, is_running, open_folder,
    server_pid, start, start_error, wait_until,
};

#[test]
fn processes_that_start_together_share_one_server_until_the_last_one_stops() {
    let data_dir = TempDir::new().unwrap();
    let mut others: Vec<_> = (0..3).map(|_| OtherProcess::start(data_dir.path())).collect();
    let postgres = start(data_dir.path());
    others.iter_mut().for_each(OtherProcess::wait_until_ready);
    let cluster = postgres.cluster_dir().to_owned();
    let server = server_pid(&cluster);
    for other in others.drain(1..) {
        other.stop();
    }
    insert_row(&postgres);
    postgres.stop().unwrap();
    assert_eq!(server_pid(&cluster), server);
    others.pop().unwrap().stop();
    assert!(!is_running(&cluster));
    assert_eq!(count_starts(data_dir.path()), 1);
}

#[test]
fn threads_can_start_and_stop_concurrently() {
    let data_dir = TempDir::new().unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..3 {
                    let postgres = start(data_dir.path());
                    assert_eq!(evaluate(&postgres, "1"), "1");
                    postgres.stop().unwrap();
                }
            });
        }
    });
}

#[test]
fn the_server_ends_with_the_last_process_that_uses_it_also_if_that_is_killed() {
    let data_dir = TempDir::new().unwrap();
    let mut others: Vec<_> = (0..2).map(|_| OtherProcess::start(data_dir.path())).collect();
    others.iter_mut().for_each(OtherProcess::wait_until_ready);
    let cluster = data_dir.path().join("postgres").canonicalize().unwrap();
    let server = server_pid(&cluster);
    others.remove(0).kill();
    let postgres = start(data_dir.path());
    insert_row(&postgres);
    postgres.stop().unwrap();
    assert_eq!(server_pid(&cluster), server, "the other process still uses it");
    others.remove(0).kill();
    wait_until(|| !is_running(&cluster));
}

#[test]
fn a_process_that_starts_right_after_another_was_killed_has_a_server() {
    let data_dir = TempDir::new().unwrap();
    for _ in 0..3 {
        let mut other = OtherProcess::start(data_dir.path());
        other.wait_until_ready();
        other.kill();
        let postgres = start(data_dir.path());
        insert_row(&postgres);
        let cluster = postgres.cluster_dir().to_owned();
        postgres.stop().unwrap();
        assert!(!is_running(&cluster));
    }
}

#[test]
fn a_copy_of_a_running_data_folder_gets_its_own_server() {
    let original = TempDir::new().unwrap();
    let parent = open_folder();
    let copy = parent.path().join("copy");
    let postgres = start(original.path());
    insert_row(&postgres);
    execute(&postgres, "CHECKPOINT");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(original.path())
        .arg(&copy)
        .status()
        .unwrap();
    assert!(copied.success());
    let other = start(&copy);
    insert_row(&other);
    assert_eq!((count_rows(&postgres), count_rows(&other)), (1, 2));
    other.stop().unwrap();
    postgres.stop().unwrap();
}

#[test]
fn a_data_folder_that_is_in_use_under_another_path_is_refused() {
    let parent = open_folder();
    let (old, new) = (parent.path().join("old"), parent.path().join("new"));
    let postgres = start(&old);
    insert_row(&postgres);
    fs::rename(&old, &new).unwrap();
    let (error, line) = start_error(&fast_options(&new));
    assert!(matches!(error, Error::InUse { .. }), "{line}");
    postgres.stop().unwrap();
    let postgres = start(&new);
    assert_eq!(count_rows(&postgres), 1);
    postgres.stop().unwrap();
}
