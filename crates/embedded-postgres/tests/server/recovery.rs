//! Starts after a crash of the server or of the process that started it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use diesel::connection::SimpleConnection as _;
use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::support::{
    OtherProcess, connect, count_rows, count_unfinished, fast_options, insert_row, kill_server, server_pid, socket_dir,
    start, start_error, wait_until,
};

#[test]
fn a_killed_server_is_restarted_and_recovers() {
    let data_dir = TempDir::new().unwrap();
    let postgres = start(data_dir.path());
    insert_row(&postgres);
    // An open session keeps a process of the server and its shared memory alive for a moment.
    let mut session = connect(&postgres);
    session.batch_execute("BEGIN; INSERT INTO rows DEFAULT VALUES").unwrap();
    kill_server(postgres.cluster_dir());
    postgres.stop().unwrap();
    let postgres = start(data_dir.path());
    assert_eq!(count_rows(&postgres), 1);
    postgres.stop().unwrap();
}

#[test]
fn a_server_that_is_killed_while_it_is_used_is_started_again() {
    let data_dir = TempDir::new().unwrap();
    let postgres = start(data_dir.path());
    insert_row(&postgres);
    let cluster = postgres.cluster_dir().to_owned();
    for _ in 0..2 {
        let killed = server_pid(&cluster);
        kill_server(&cluster);
        wait_until(|| {
            let text = fs::read_to_string(cluster.join("postmaster.pid")).unwrap_or_default();
            text.contains("ready") && !text.starts_with(&killed.to_string())
        });
        assert_eq!(count_rows(&postgres), 1);
    }
    postgres.stop().unwrap();
    assert!(!cluster.join("postmaster.pid").exists());
}

#[test]
fn a_pid_file_that_names_another_program_is_ignored() {
    let data_dir = TempDir::new().unwrap();
    let postgres = start(data_dir.path());
    insert_row(&postgres);
    let cluster = postgres.cluster_dir().to_owned();
    let socket_lock = socket_dir(&postgres).join(".s.PGSQL.5432.lock");
    kill_server(&cluster);
    postgres.stop().unwrap();
    // The program runs as the server's user, because PostgreSQL itself ignores a process of another user.
    let owner = fs::metadata(&cluster).unwrap();
    let mut program = Command::new("cat");
    program.stdin(Stdio::piped()).current_dir("/");
    if geteuid().is_root() {
        program.uid(owner.uid()).gid(owner.gid());
    }
    let mut program = program.spawn().unwrap();
    for file in [cluster.join("postmaster.pid"), socket_lock] {
        let text = fs::read_to_string(&file).unwrap();
        let (_, rest) = text.split_once('\n').unwrap();
        fs::write(&file, format!("{}\n{rest}", program.id())).unwrap();
    }
    let postgres = start(data_dir.path());
    assert_eq!(count_rows(&postgres), 1);
    postgres.stop().unwrap();
    assert!(program.try_wait().unwrap().is_none(), "the other program was killed");
    drop(program.stdin.take());
    program.wait().unwrap();
}

#[test]
fn an_interrupted_first_start_is_cleaned_up_and_repeated() {
    let data_dir = TempDir::new().unwrap();
    let other = OtherProcess::start(data_dir.path());
    wait_until(|| count_unfinished(data_dir.path()) > 0);
    other.kill();
    fs::write(data_dir.path().join("postgres-password.new"), "half").unwrap();
    // The `initdb` of the killed process may still be running.
    let postgres = start(data_dir.path());
    insert_row(&postgres);
    postgres.stop().unwrap();
}

#[test]
fn the_remains_of_an_old_interrupted_start_are_removed() {
    let data_dir = TempDir::new().unwrap();
    let remains = data_dir.path().join("postgres.new-0123456789abcdef");
    fs::create_dir_all(remains.join("base")).unwrap();
    start(data_dir.path()).stop().unwrap();
    assert!(!remains.exists());
}

#[test]
fn a_failed_first_start_leaves_no_cluster() {
    let data_dir = TempDir::new().unwrap();
    let (_, line) = start_error(&fast_options(data_dir.path()).settings([("shared_buffers", "a lot")]));
    assert!(
        line.contains("invalid value for parameter \"shared_buffers\""),
        "{line}"
    );
    assert_eq!(count_unfinished(data_dir.path()), 0);
    assert!(!data_dir.path().join("postgres").exists());
    start(data_dir.path()).stop().unwrap();
}
