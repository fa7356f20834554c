//! Starts servers, queries them, and runs other processes that use them.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{Integer, Text};
use diesel::{Connection as _, PgConnection, QueryableByName, RunQueryDsl as _, sql_query};
use embedded_postgres::{EmbeddedPostgres, Error, Options};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

/// Makes tests fast: a cluster that is deleted afterwards need not survive a crash.
const FAST: [(&str, &str); 3] = [("fsync", "off"), ("max_connections", "10"), ("shared_buffers", "1MB")];

const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

pub fn fast_options(data_dir: &Path) -> Options {
    Options::new(data_dir).settings(FAST)
}

pub fn start(data_dir: &Path) -> EmbeddedPostgres {
    EmbeddedPostgres::start(&fast_options(data_dir)).unwrap()
}

/// Starts with options that must lead to an error, checks that the error is a single line, and returns both.
pub fn start_error(options: &Options) -> (Error, String) {
    let error = EmbeddedPostgres::start(options).expect_err("the start should fail");
    let line = error.to_string();
    assert!(!line.contains('\n'), "{line}");
    (error, line)
}

/// A temporary folder that other users can enter, as the parent of data folders.
pub fn open_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

pub fn connect(postgres: &EmbeddedPostgres) -> PgConnection {
    PgConnection::establish(postgres.database_url().expose_secret()).unwrap()
}

pub fn execute(postgres: &EmbeddedPostgres, statements: &str) {
    connect(postgres).batch_execute(statements).unwrap();
}

/// The result of an SQL expression as text.
pub fn evaluate(postgres: &EmbeddedPostgres, expression: &str) -> String {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        value: String,
    }
    let row: Row = sql_query(format!("SELECT ({expression})::text AS value"))
        .get_result(&mut connect(postgres))
        .unwrap();
    row.value
}

pub fn insert_row(postgres: &EmbeddedPostgres) {
    execute(
        postgres,
        "CREATE TABLE IF NOT EXISTS rows (id serial); INSERT INTO rows DEFAULT VALUES",
    );
}

pub fn count_rows(postgres: &EmbeddedPostgres) -> i32 {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        count: i32,
    }
    let row: Row = sql_query("SELECT count(*)::int AS count FROM rows")
        .get_result(&mut connect(postgres))
        .unwrap();
    row.count
}

/// The process ID of the server of a cluster.
pub fn server_pid(cluster: &Path) -> Pid {
    let text = fs::read_to_string(cluster.join("postmaster.pid")).unwrap();
    Pid::from_raw(text.lines().next().unwrap().parse().unwrap())
}

pub fn is_running(cluster: &Path) -> bool {
    cluster.join("postmaster.pid").exists()
}

pub fn socket_dir(postgres: &EmbeddedPostgres) -> PathBuf {
    PathBuf::from(evaluate(postgres, "current_setting('unix_socket_directories')").trim_matches('"'))
}

/// How often the server was started, according to its log.
pub fn count_starts(data_dir: &Path) -> usize {
    let log = fs::read_to_string(data_dir.join("postgres.log")).unwrap();
    log.matches("starting PostgreSQL").count()
}

/// How many directories in the data folder belong to unfinished clusters.
pub fn count_unfinished(data_dir: &Path) -> usize {
    let names = fs::read_dir(data_dir).unwrap().map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_str().unwrap().starts_with("postgres.new-"))
        .count()
}

pub fn wait_until(mut condition: impl FnMut() -> bool) {
    let started_at = Instant::now();
    while !condition() {
        assert!(started_at.elapsed() < WAIT_TIMEOUT, "the condition did not become true");
        thread::yield_now();
    }
}

/// Kills the server of a cluster, and waits until the process is gone or a zombie.
pub fn kill_server(cluster: &Path) {
    let pid = server_pid(cluster);
    kill(pid, Signal::SIGKILL).unwrap();
    wait_until(|| {
        kill(pid, None) == Err(Errno::ESRCH)
            || fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.is_empty())
            || !Path::new("/proc/self").exists()
    });
}

/// Another process that starts a server on a data folder and uses it until it is told to stop.
pub struct OtherProcess {
    process: Child,
    stdin: ChildStdin,
}

impl OtherProcess {
    pub fn start(data_dir: &Path) -> Self {
        // The name of a test is its path without the name of the test binary.
        let module = module_path!().split_once("::").map(|(_, module)| module).unwrap();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("{module}::other_process")])
            .args(["--ignored", "--nocapture", "--test-threads=1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = process.stdin.take().unwrap();
        writeln!(stdin, "{}", data_dir.to_str().unwrap()).unwrap();
        Self { process, stdin }
    }

    pub fn wait_until_ready(&mut self) {
        let mut lines = BufReader::new(self.process.stdout.as_mut().unwrap()).lines();
        assert!(
            lines.any(|line| line.unwrap().contains("the server is ready")),
            "the other process did not start a server"
        );
    }

    pub fn stop(mut self) {
        writeln!(self.stdin, "stop").unwrap();
        assert!(self.process.wait().unwrap().success());
    }

    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
#[ignore = "the other process of other tests, not a test"]
fn other_process() {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return;
    }
    let mut lines = stdin.lines();
    let Some(Ok(data_dir)) = lines.next() else { return };
    let postgres = start(Path::new(&data_dir));
    println!("the server is ready");
    assert_eq!(lines.next().unwrap().unwrap(), "stop");
    postgres.stop().unwrap();
}
