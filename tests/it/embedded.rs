//! The private PostgreSQL: every test has a data folder and a server of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{Integer, Text};
use diesel::{Connection as _, PgConnection, QueryableByName, RunQueryDsl as _, sql_query};
use keyward::db::embedded::{EmbeddedError, EmbeddedPostgres, Options};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

const FAST: &[(&str, &str)] = &[("fsync", "off"), ("max_connections", "10"), ("shared_buffers", "1MB")];

fn start_with(data_dir: &Path, settings: &[(&str, &str)]) -> Result<EmbeddedPostgres, EmbeddedError> {
    let search_path = std::env::var_os("PATH");
    EmbeddedPostgres::start(&Options {
        data_dir,
        search_path,
        settings,
    })
}

fn start(data_dir: &Path) -> EmbeddedPostgres {
    start_with(data_dir, FAST).unwrap()
}

/// Asserts that the start is refused, in one line.
fn refusal(data_dir: &Path, settings: &[(&str, &str)]) -> String {
    let line = start_with(data_dir, settings)
        .expect_err("the start is refused")
        .to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}

fn connect(postgres: &EmbeddedPostgres) -> PgConnection {
    PgConnection::establish(postgres.database_url().expose_secret()).unwrap()
}

fn execute(postgres: &EmbeddedPostgres, statements: &str) {
    connect(postgres).batch_execute(statements).unwrap();
}

fn show(postgres: &EmbeddedPostgres, query: &str) -> String {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        value: String,
    }
    let row: Row = sql_query(format!("SELECT ({query})::text AS value"))
        .get_result(&mut connect(postgres))
        .unwrap();
    row.value
}

/// Leaves a row, to be found by [`notes`].
fn note(postgres: &EmbeddedPostgres) {
    execute(
        postgres,
        "CREATE TABLE IF NOT EXISTS note (id serial); INSERT INTO note DEFAULT VALUES",
    );
}

fn notes(postgres: &EmbeddedPostgres) -> i32 {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        count: i32,
    }
    let row: Row = sql_query("SELECT count(*)::int AS count FROM note")
        .get_result(&mut connect(postgres))
        .unwrap();
    row.count
}

fn pid_in(file: &Path) -> Pid {
    let text = fs::read_to_string(file).unwrap();
    Pid::from_raw(text.lines().next().unwrap().parse().unwrap())
}

fn pid(cluster: &Path) -> Pid {
    pid_in(&cluster.join("postmaster.pid"))
}

fn is_serving(cluster: &Path) -> bool {
    cluster.join("postmaster.pid").exists()
}

fn socket_dir(postgres: &EmbeddedPostgres) -> PathBuf {
    PathBuf::from(show(postgres, "current_setting('unix_socket_directories')").trim_matches('"'))
}

/// Kills the server of a cluster, and waits until the process is dead: gone, or not yet waited for by its parent.
fn kill_server(cluster: &Path) {
    let pid = pid(cluster);
    kill(pid, Signal::SIGKILL).unwrap();
    let begun = Instant::now();
    let is_dead = || {
        kill(pid, None) == Err(Errno::ESRCH)
            || fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.is_empty())
            || !Path::new("/proc/self").exists()
    };
    while !is_dead() {
        assert!(begun.elapsed() < Duration::from_secs(10));
        thread::yield_now();
    }
}

/// Another process that uses the server of a data folder.
struct User {
    process: Child,
    orders: ChildStdin,
}

impl User {
    fn start(data_dir: &Path) -> Self {
        // The module's path begins with the name of the test binary, which the names of tests do not.
        let module = module_path!()
            .split_once("::")
            .map(|(_, module)| format!("{module}::"))
            .unwrap_or_default();
        let name = format!("{module}a_process_that_uses_the_server");
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &name, "--ignored", "--nocapture", "--test-threads=1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut orders = process.stdin.take().unwrap();
        writeln!(orders, "{}", data_dir.to_str().unwrap()).unwrap();
        Self { process, orders }
    }

    fn wait_until_ready(&mut self) {
        let mut lines = BufReader::new(self.process.stdout.as_mut().unwrap()).lines();
        assert!(
            lines.any(|line| line.unwrap().contains("ready to serve")),
            "the other process did not start"
        );
    }

    fn stop(mut self) {
        writeln!(self.orders, "stop").unwrap();
        assert!(self.process.wait().unwrap().success());
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
#[ignore = "not a test: other tests run it as a process of its own"]
fn a_process_that_uses_the_server() {
    let input = std::io::stdin();
    if input.is_terminal() {
        return;
    }
    let mut lines = input.lines();
    let Some(Ok(data_dir)) = lines.next() else { return };
    let postgres = start(Path::new(&data_dir));
    println!("ready to serve");
    assert_eq!(lines.next().unwrap().unwrap(), "stop");
    postgres.stop().unwrap();
}

#[test]
fn a_second_start_finds_what_the_first_one_kept() {
    let data_dir = TempDir::new().unwrap();
    let first = start(data_dir.path());
    note(&first);
    let cluster = first.cluster_dir().to_owned();
    first.stop().unwrap();
    assert!(!is_serving(&cluster));
    let second = start(data_dir.path());
    assert_eq!(notes(&second), 1);
    second.stop().unwrap();
    assert!(!is_serving(&cluster));
}

#[test]
fn a_missing_data_folder_is_made_and_production_settings_work() {
    let above = TempDir::new().unwrap();
    fs::set_permissions(above.path(), Permissions::from_mode(0o755)).unwrap();
    let data_dir = above.path().join("some \"where\" 50% élse/data");
    let postgres = start_with(&data_dir, &[]).unwrap();
    note(&postgres);
    assert_eq!(show(&postgres, "current_setting('fsync')"), "on");
    assert_eq!(show(&postgres, "current_setting('max_connections')"), "100");
    postgres.stop().unwrap();
}

#[test]
fn it_is_private_and_speaks_utf_8() {
    let data_dir = TempDir::new().unwrap();
    let postgres = start(data_dir.path());
    assert_eq!(show(&postgres, "current_setting('listen_addresses')"), "");
    assert_eq!(show(&postgres, "current_setting('data_checksums')"), "on");
    assert_eq!(show(&postgres, "current_setting('server_encoding')"), "UTF8");
    assert_eq!(show(&postgres, "current_database()"), "keyward");
    assert_eq!(
        show(
            &postgres,
            "SELECT string_agg(concat_ws(' ', type, database, user_name, auth_method), ',') FROM pg_hba_file_rules"
        ),
        "local {all} {all} scram-sha-256"
    );
    assert_eq!(fs::metadata(socket_dir(&postgres)).unwrap().mode() & 0o777, 0o700);
    for name in ["postgres-password", "postgres.log", "postgres.lock", "postgres.users"] {
        let file = fs::metadata(data_dir.path().join(name)).unwrap();
        assert_eq!((file.mode() & 0o777, file.uid()), (0o600, geteuid().as_raw()), "{name}");
    }
    let url = postgres.database_url().expose_secret();
    let (name, rest) = url.split_once("keyward:").unwrap();
    let wrong = format!("{name}keyward:0{rest}");
    let refused = PgConnection::establish(&wrong).map(drop).unwrap_err().to_string();
    assert!(refused.contains("password authentication failed"), "{refused}");
    postgres.stop().unwrap();
}

#[test]
fn the_log_keeps_statements_and_values_to_itself() {
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

#[test]
fn the_server_of_a_killed_process_is_adopted() {
    let data_dir = TempDir::new().unwrap();
    let mut other = User::start(data_dir.path());
    other.wait_until_ready();
    other.kill();
    let postgres = start(data_dir.path());
    let cluster = postgres.cluster_dir().to_owned();
    let log = fs::read_to_string(data_dir.path().join("postgres.log")).unwrap();
    assert_eq!(log.matches("starting PostgreSQL").count(), 1, "{log}");
    note(&postgres);
    let server = pid(&cluster);
    postgres.stop().unwrap();
    assert!(!is_serving(&cluster));
    let next = start(data_dir.path());
    assert_ne!(pid(&cluster), server);
    assert_eq!(notes(&next), 1);
    next.stop().unwrap();
}

#[test]
fn processes_that_start_at_once_share_one_server_until_the_last_has_stopped() {
    let data_dir = TempDir::new().unwrap();
    let mut others: Vec<_> = (0..3).map(|_| User::start(data_dir.path())).collect();
    let postgres = start(data_dir.path());
    others.iter_mut().for_each(User::wait_until_ready);
    let cluster = postgres.cluster_dir().to_owned();
    let server = pid(&cluster);
    for other in others.drain(1..) {
        other.stop();
    }
    note(&postgres);
    postgres.stop().unwrap();
    assert_eq!(pid(&cluster), server);
    others.pop().unwrap().stop();
    assert!(!is_serving(&cluster));
    let log = fs::read_to_string(data_dir.path().join("postgres.log")).unwrap();
    assert_eq!(log.matches("starting PostgreSQL").count(), 1, "{log}");
}

#[test]
fn threads_that_start_and_stop_at_once_do_not_take_the_server_from_each_other() {
    let data_dir = TempDir::new().unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..3 {
                    let postgres = start(data_dir.path());
                    assert_eq!(show(&postgres, "1"), "1");
                    postgres.stop().unwrap();
                }
            });
        }
    });
}

#[test]
fn a_dropped_handle_stops_its_server() {
    let data_dir = TempDir::new().unwrap();
    let postgres = start(data_dir.path());
    let cluster = postgres.cluster_dir().to_owned();
    drop(postgres);
    assert!(!is_serving(&cluster));
}

#[test]
fn a_killed_server_is_started_anew_and_recovers() {
    let data_dir = TempDir::new().unwrap();
    let postgres = start(data_dir.path());
    note(&postgres);
    // A session that is busy when its server dies.
    let mut busy = connect(&postgres);
    busy.batch_execute("BEGIN; INSERT INTO note DEFAULT VALUES").unwrap();
    kill_server(postgres.cluster_dir());
    postgres.stop().unwrap();
    let postgres = start(data_dir.path());
    assert_eq!(notes(&postgres), 1);
    postgres.stop().unwrap();
}

#[test]
fn a_pid_file_that_names_another_program_is_not_believed() {
    let data_dir = TempDir::new().unwrap();
    let postgres = start(data_dir.path());
    note(&postgres);
    let cluster = postgres.cluster_dir().to_owned();
    let socket_lock = socket_dir(&postgres).join(".s.PGSQL.5432.lock");
    kill_server(&cluster);
    postgres.stop().unwrap();
    // Of the same user, for PostgreSQL does not take a process of somebody else for itself.
    let owner = fs::metadata(&cluster).unwrap();
    let mut bystander = Command::new("cat");
    bystander.stdin(Stdio::piped()).current_dir("/");
    if geteuid().is_root() {
        bystander.uid(owner.uid()).gid(owner.gid());
    }
    let mut bystander = bystander.spawn().unwrap();
    for file in [cluster.join("postmaster.pid"), socket_lock] {
        let text = fs::read_to_string(&file).unwrap();
        let (_, rest) = text.split_once('\n').unwrap();
        fs::write(&file, format!("{}\n{rest}", bystander.id())).unwrap();
    }
    let postgres = start(data_dir.path());
    assert_eq!(notes(&postgres), 1);
    postgres.stop().unwrap();
    assert!(bystander.try_wait().unwrap().is_none(), "the other program must live");
    drop(bystander.stdin.take());
    bystander.wait().unwrap();
}

#[test]
fn a_copy_of_a_running_data_folder_does_not_adopt_the_server_of_the_original() {
    let original = TempDir::new().unwrap();
    let elsewhere = TempDir::new().unwrap();
    fs::set_permissions(elsewhere.path(), Permissions::from_mode(0o755)).unwrap();
    let copy = elsewhere.path().join("copy");
    let postgres = start(original.path());
    note(&postgres);
    execute(&postgres, "CHECKPOINT");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(original.path())
        .arg(&copy)
        .status()
        .unwrap();
    assert!(copied.success());
    let other = start(&copy);
    note(&other);
    assert_eq!((notes(&postgres), notes(&other)), (1, 2));
    other.stop().unwrap();
    postgres.stop().unwrap();
}

#[test]
fn a_data_folder_in_use_under_another_path_is_refused() {
    let above = TempDir::new().unwrap();
    fs::set_permissions(above.path(), Permissions::from_mode(0o755)).unwrap();
    let (here, there) = (above.path().join("here"), above.path().join("there"));
    let postgres = start(&here);
    note(&postgres);
    fs::rename(&here, &there).unwrap();
    let line = refusal(&there, FAST);
    assert!(line.contains("in use by another process"), "{line}");
    postgres.stop().unwrap();
    let postgres = start(&there);
    assert_eq!(notes(&postgres), 1);
    postgres.stop().unwrap();
}

#[test]
fn what_an_interrupted_first_start_left_is_removed_and_made_again() {
    let data_dir = TempDir::new().unwrap();
    let other = User::start(data_dir.path());
    let begun = Instant::now();
    while unfinished(data_dir.path()) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(10));
        thread::yield_now();
    }
    other.kill();
    fs::write(data_dir.path().join("postgres-password.new"), "half").unwrap();
    // While what the killed process started may still be at work.
    let postgres = start(data_dir.path());
    note(&postgres);
    postgres.stop().unwrap();
    // The long-abandoned, too.
    let half = data_dir.path().join("postgres.new-0123456789abcdef");
    fs::create_dir_all(half.join("base")).unwrap();
    fs::rename(data_dir.path().join("postgres"), data_dir.path().join("aside")).unwrap();
    start(data_dir.path()).stop().unwrap();
    assert!(!half.exists());
}

/// How many clusters are being made, or were abandoned in the making.
fn unfinished(data_dir: &Path) -> usize {
    let names = fs::read_dir(data_dir).unwrap().map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_str().unwrap().starts_with("postgres.new-"))
        .count()
}

#[test]
fn a_failed_first_start_leaves_nothing_behind() {
    let data_dir = TempDir::new().unwrap();
    let line = refusal(data_dir.path(), &[("fsync", "off"), ("shared_buffers", "a lot")]);
    assert!(
        line.contains("invalid value for parameter \"shared_buffers\""),
        "{line}"
    );
    assert_eq!(unfinished(data_dir.path()), 0);
    assert!(!data_dir.path().join("postgres").exists());
    start(data_dir.path()).stop().unwrap();
}

#[test]
fn a_failed_start_says_why_in_one_line() {
    let data_dir = TempDir::new().unwrap();
    start(data_dir.path()).stop().unwrap();
    let line = refusal(data_dir.path(), &[("shared_buffers", "a lot")]);
    assert!(
        line.starts_with("PostgreSQL cannot start: invalid value for parameter \"shared_buffers\""),
        "{line}"
    );
    assert!(line.contains("postgres.log"), "{line}");
}

#[test]
fn a_cluster_of_another_version_is_refused() {
    let data_dir = TempDir::new().unwrap();
    fs::create_dir(data_dir.path().join("postgres")).unwrap();
    fs::write(data_dir.path().join("postgres/PG_VERSION"), "99\n").unwrap();
    let line = refusal(data_dir.path(), FAST);
    assert!(
        line.contains("made by PostgreSQL 99") && line.contains("install PostgreSQL 99"),
        "{line}"
    );
}

#[test]
fn something_else_in_the_place_of_the_cluster_is_left_alone() {
    let data_dir = TempDir::new().unwrap();
    fs::create_dir(data_dir.path().join("postgres")).unwrap();
    fs::write(data_dir.path().join("postgres/holiday.jpg"), "").unwrap();
    let line = refusal(data_dir.path(), FAST);
    assert!(line.contains("holds no PostgreSQL database"), "{line}");
    assert!(data_dir.path().join("postgres/holiday.jpg").exists());
}

#[test]
fn a_link_to_a_lost_cluster_does_not_begin_a_new_one() {
    let data_dir = TempDir::new().unwrap();
    symlink("/nowhere/at-all", data_dir.path().join("postgres")).unwrap();
    let line = refusal(data_dir.path(), FAST);
    assert!(line.contains("link to a database that is gone"), "{line}");
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let above = TempDir::new().unwrap();
    fs::write(above.path().join("file"), "").unwrap();
    let line = refusal(&above.path().join("file/data"), FAST);
    assert!(line.contains("/file: ") && line.contains("KEYWARD_DATA_DIR"), "{line}");
    // Root may write everywhere.
    if !geteuid().is_root() {
        fs::set_permissions(above.path(), Permissions::from_mode(0o500)).unwrap();
        let line = refusal(above.path(), FAST);
        fs::set_permissions(above.path(), Permissions::from_mode(0o700)).unwrap();
        assert!(
            line.contains("Permission denied") && line.contains("KEYWARD_DATA_DIR"),
            "{line}"
        );
    }
}

#[test]
fn a_lost_password_is_replaced_when_the_server_starts_next() {
    let data_dir = TempDir::new().unwrap();
    let password = data_dir.path().join("postgres-password");
    let first = start(data_dir.path());
    note(&first);
    fs::remove_file(&password).unwrap();
    let line = refusal(data_dir.path(), FAST);
    assert!(
        line.contains("postgres-password is missing while its server runs"),
        "{line}"
    );
    first.stop().unwrap();
    fs::write(&password, "torn").unwrap();
    let second = start(data_dir.path());
    assert_eq!(notes(&second), 1);
    second.stop().unwrap();
}

#[test]
fn a_path_that_libpq_takes_for_a_list_has_its_socket_elsewhere() {
    let above = TempDir::new().unwrap();
    fs::set_permissions(above.path(), Permissions::from_mode(0o755)).unwrap();
    let postgres = start(&above.path().join("here, there"));
    note(&postgres);
    assert!(socket_dir(&postgres).starts_with("/tmp"));
    postgres.stop().unwrap();
}

#[test]
fn a_long_path_has_its_socket_elsewhere_and_walks_into_no_trap() {
    let above = TempDir::new().unwrap();
    fs::set_permissions(above.path(), Permissions::from_mode(0o755)).unwrap();
    let data_dir = above.path().join("long".repeat(40)).join("path".repeat(40));
    let postgres = start(&data_dir);
    note(&postgres);
    let dir = socket_dir(&postgres);
    assert!(dir.starts_with("/tmp"), "{}", dir.display());
    assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
    postgres.stop().unwrap();
    assert!(!dir.exists());

    symlink(above.path(), &dir).unwrap();
    let line = refusal(&data_dir, FAST);
    assert!(line.contains("not a private directory"), "{line}");
    fs::remove_file(&dir).unwrap();

    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
    refusal(&data_dir, FAST);
    fs::remove_dir(&dir).unwrap();
    let postgres = start(&data_dir);
    assert_eq!(notes(&postgres), 1);
    postgres.stop().unwrap();
}

#[test]
fn the_server_is_out_of_reach_of_ctrl_c() {
    let data_dir = TempDir::new().unwrap();
    let postgres = start(data_dir.path());
    let server = pid(postgres.cluster_dir());
    // After the name, which stands in brackets: state, parent, process group.
    if let Ok(stat) = fs::read_to_string(format!("/proc/{server}/stat")) {
        let group = stat.rsplit(") ").next().unwrap().split(' ').nth(2).unwrap();
        assert_eq!(group, server.to_string());
    }
    postgres.stop().unwrap();
}

#[test]
fn root_opens_its_own_data_folder_to_the_server_and_no_more() {
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
fn a_closed_folder_of_root_has_its_cluster_elsewhere_and_never_loses_it() {
    if !geteuid().is_root() {
        return;
    }
    let closed = TempDir::new().unwrap();
    fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
    let data_dir = closed.path().join("data");
    let postgres = start(&data_dir);
    note(&postgres);
    let cluster = postgres.cluster_dir().to_owned();
    let at_the_end = RemoveDir(cluster.clone());
    assert!(cluster.starts_with("/var/lib/keyward"), "{}", cluster.display());
    assert_eq!(fs::metadata(closed.path()).unwrap().mode() & 0o777, 0o700);
    postgres.stop().unwrap();

    // Neither when the data folder moves, nor when it is opened.
    let moved = closed.path().join("moved");
    fs::rename(&data_dir, &moved).unwrap();
    fs::set_permissions(closed.path(), Permissions::from_mode(0o755)).unwrap();
    let postgres = start(&moved);
    assert_eq!(notes(&postgres), 1);
    assert_eq!(postgres.cluster_dir(), cluster);
    postgres.stop().unwrap();
    drop(at_the_end);
}

#[test]
fn a_cluster_of_root_that_is_out_of_reach_is_not_replaced() {
    if !geteuid().is_root() {
        return;
    }
    let above = TempDir::new().unwrap();
    fs::set_permissions(above.path(), Permissions::from_mode(0o755)).unwrap();
    let data_dir = above.path().join("data");
    start(&data_dir).stop().unwrap();
    fs::set_permissions(above.path(), Permissions::from_mode(0o700)).unwrap();
    let line = refusal(&data_dir, FAST);
    assert!(line.contains("cannot enter") && line.contains("chmod o+x"), "{line}");
}

struct RemoveDir(PathBuf);

impl Drop for RemoveDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
