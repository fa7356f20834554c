//! The running program: signals, its output, its user, its keys, and a database that stops to respond.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use keyward::app::worker;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use crate::support::{PASSWORD, Proxy, TestApp, free_address, print_skipped, wait_until};

const START: Duration = Duration::from_secs(30);

/// A running `keyward serve`, killed on drop.
struct Service {
    child: Child,
    address: SocketAddr,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    fn command(data_dir: &Path, database_url: Option<&str>) -> (Command, SocketAddr) {
        let address = free_address();
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyward"));
        command
            .arg("serve")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("KEYWARD_DATA_DIR", data_dir)
            .env("KEYWARD_BIND", address.to_string())
            .env("KEYWARD_ADMIN_BIND", "127.0.0.1:0")
            .env("KEYWARD_DRAIN_SECONDS", "0")
            .envs(database_url.map(|url| ("DATABASE_URL", url)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        (command, address)
    }

    /// Waits until the service is ready.
    async fn start((mut command, address): (Command, SocketAddr)) -> Self {
        let mut log = tempfile::tempfile().unwrap();
        let child = command.stderr(log.try_clone().unwrap()).spawn().unwrap();
        let mut service = Self { child, address };
        wait_until(START, async || {
            if let Some(status) = service.child.try_wait().unwrap() {
                let mut lines = String::new();
                log.rewind().unwrap();
                log.read_to_string(&mut lines).unwrap();
                panic!("the service has ended: {status}\n{lines}");
            }
            service.status("/readyz").await == Some(200)
        })
        .await;
        service
    }

    /// The status of the response, if there is one.
    async fn status(&self, path: &str) -> Option<u16> {
        let client = reqwest::Client::builder().timeout(START).build().unwrap();
        let response = client.get(format!("http://{}{path}", self.address)).send().await;
        Some(response.ok()?.status().as_u16())
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    async fn wait(&mut self, limit: Duration) -> ExitStatus {
        let mut status = None;
        wait_until(limit, async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }
}

#[actix_web::test]
async fn sigterm_ends_the_service_although_the_database_does_not_respond() {
    let app = TestApp::start();
    let folder = TempDir::new().unwrap();
    let proxy = Proxy::start(&app.database().url);
    let url = proxy.url.expose_secret();
    let mut service = Service::start(Service::command(folder.path(), Some(url))).await;
    proxy.silence();
    assert_eq!(service.status("/readyz").await, Some(503));
    service.signal(Signal::SIGTERM);
    assert!(service.wait(Duration::from_secs(40)).await.success());
}

#[actix_web::test]
async fn sigterm_ends_a_service_that_never_reached_its_database() {
    let app = TestApp::start();
    let folder = TempDir::new().unwrap();
    let proxy = Proxy::start(&app.database().url);
    proxy.silence();
    let (mut command, address) = Service::command(folder.path(), Some(proxy.url.expose_secret()));
    let mut service = Service {
        child: command.spawn().unwrap(),
        address,
    };
    wait_until(START, async || service.status("/livez").await == Some(200)).await;
    service.signal(Signal::SIGTERM);
    assert!(service.wait(Duration::from_secs(40)).await.success());
}

#[actix_web::test]
async fn a_second_signal_skips_the_drain() {
    let app = TestApp::start();
    let folder = TempDir::new().unwrap();
    let (mut command, address) = Service::command(folder.path(), Some(app.database().url.expose_secret()));
    command.env("KEYWARD_DRAIN_SECONDS", "3600");
    let mut service = Service::start((command, address)).await;
    service.signal(Signal::SIGTERM);
    wait_until(START, async || service.status("/readyz").await == Some(503)).await;
    assert_eq!(service.status("/livez").await, Some(200));
    service.signal(Signal::SIGTERM);
    assert!(service.wait(Duration::from_secs(10)).await.success());
}

#[actix_web::test]
async fn sighup_and_sigquit_end_the_service_cleanly() {
    let app = TestApp::start();
    let folder = TempDir::new().unwrap();
    for signal in [Signal::SIGHUP, Signal::SIGQUIT] {
        let mut service = Service::start(Service::command(
            folder.path(),
            Some(app.database().url.expose_secret()),
        ))
        .await;
        service.signal(signal);
        assert!(service.wait(START).await.success(), "{signal}");
    }
}

#[cfg(target_os = "linux")]
#[actix_web::test]
async fn nohup_keeps_the_service_running() {
    let app = TestApp::start();
    let folder = TempDir::new().unwrap();
    let (command, address) = Service::command(folder.path(), Some(app.database().url.expose_secret()));
    let mut nohup = Command::new("nohup");
    nohup.arg(command.get_program()).args(command.get_args()).env_clear();
    for (name, value) in command.get_envs() {
        nohup.env(name, value.unwrap());
    }
    nohup.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
    let mut service = Service::start((nohup, address)).await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.child.id())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    assert_ne!(
        ignored & (1 << (Signal::SIGHUP as i32 - 1)),
        0,
        "a handler replaces what nohup has set"
    );
    service.signal(Signal::SIGHUP);
    assert_eq!(service.status("/readyz").await, Some(200));
    service.signal(Signal::SIGTERM);
    assert!(service.wait(START).await.success());
}

#[actix_web::test]
async fn an_email_that_cannot_be_written_is_logged() {
    let app = TestApp::start();
    let folder = TempDir::new().unwrap();
    let (mut command, address) = Service::command(folder.path(), Some(app.database().url.expose_secret()));
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut service = Service { child, address };
    wait_until(START, async || service.status("/readyz").await == Some(200)).await;
    let mail = folder.path().join("mail");
    std::fs::remove_dir(&mail).unwrap();
    std::fs::write(&mail, "").unwrap();
    let registration = serde_json::json!({"email": "ada@example.com", "password": PASSWORD});
    let url = format!("http://{address}/auth/register");
    let reply = app.client.post(url).json(&registration).send().await.unwrap();
    assert_eq!(reply.status(), 202);
    let mut lines = BufReader::new(service.child.stderr.take().unwrap()).lines();
    let line = lines.find(|line| {
        line.as_ref()
            .is_ok_and(|line| line.contains("no e-mail can be delivered"))
    });
    assert!(line.unwrap().unwrap().contains("cannot write to "));
    assert_eq!(service.status("/readyz").await, Some(200));
}

#[actix_web::test]
async fn closed_output_does_not_disturb_the_service() {
    let app = TestApp::start();
    let folder = TempDir::new().unwrap();
    let (mut command, address) = Service::command(folder.path(), Some(app.database().url.expose_secret()));
    command
        .env("KEYWARD_LOG", "debug")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The other ends of both pipes are closed.
    drop(child.stdout.take());
    drop(child.stderr.take());
    let mut service = Service { child, address };
    wait_until(START, async || service.status("/readyz").await == Some(200)).await;
    for path in ["/livez", "/nothing", "/readyz"] {
        assert!(service.status(path).await.is_some_and(|status| status < 500));
    }
    service.signal(Signal::SIGTERM);
    assert!(service.wait(START).await.success());
}

#[actix_web::test]
async fn any_user_of_group_0_can_run_the_service_with_an_empty_data_folder() {
    if !nix::unistd::geteuid().is_root() {
        print_skipped("needs root");
        return;
    }
    let app = TestApp::start();
    let folder = TempDir::new().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o770)).unwrap();
    let proxy = Proxy::start(&app.database().url);
    let (mut command, address) = Service::command(folder.path(), Some(proxy.url.expose_secret()));
    // The program itself may be in a folder that this user cannot enter. A process of its own copies it: another thread of
    // this one may start a process, which would get a copy of the open file, and an open program cannot be run.
    let program = folder.path().join("keyward");
    let mut copy = Command::new("cp");
    let copied = copy.arg(env!("CARGO_BIN_EXE_keyward")).arg(&program).status();
    assert!(copied.unwrap().success());
    let mut other = Command::new(&program);
    other.env_clear();
    for (name, value) in command.get_envs() {
        other.env(name, value.unwrap());
    }
    command = other;
    // Its home and the working folder belong to root, as on a read-only file system.
    command
        .arg("serve")
        .env("HOME", "/")
        .current_dir("/")
        .uid(12_345)
        .gid(0);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut service = Service::start((command, address)).await;
    assert!(folder.path().join("signing-key.pem").exists());
    service.signal(Signal::SIGTERM);
    assert!(service.wait(START).await.success());
}

#[actix_web::test]
async fn a_private_postgresql_that_is_killed_is_started_again_and_ends_with_a_killed_service() {
    let folder = TempDir::new().unwrap();
    let mut service = Service::start(Service::command(folder.path(), None)).await;
    let pid_file = folder.path().join("postgres/postmaster.pid");
    let pid = || {
        std::fs::read_to_string(&pid_file)
            .ok()?
            .lines()
            .next()?
            .parse::<i32>()
            .ok()
    };
    let killed = pid().unwrap();
    kill(Pid::from_raw(killed), Signal::SIGKILL).unwrap();
    wait_until(START, async || pid().is_some_and(|pid| pid != killed)).await;
    wait_until(START, async || service.status("/readyz").await == Some(200)).await;
    service.child.kill().unwrap();
    service.child.wait().unwrap();
    wait_until(START, async || !pid_file.exists()).await;
}

#[actix_web::test]
async fn another_server_secret_on_the_same_database_is_noticed() {
    let app = TestApp::start();
    assert!(worker::register_keys(&app.state).await.unwrap().is_empty());
    assert!(worker::register_keys(&app.another().state).await.unwrap().is_empty());
    let folder = TempDir::new().unwrap();
    let list = Command::new(env!("CARGO_BIN_EXE_keyward"))
        .args(["user", "list"])
        .env_clear()
        .env("KEYWARD_DATA_DIR", folder.path())
        .env("DATABASE_URL", app.database().url.expose_secret())
        .current_dir("/")
        .output()
        .unwrap();
    let lines = String::from_utf8(list.stderr).unwrap();
    assert!(list.status.success());
    for setting in ["KEYWARD_SECRET_FILE", "KEYWARD_SIGNING_KEYS"] {
        assert!(lines.contains(&format!("{setting}: ")), "{lines}");
    }
    // The command recorded nothing: the service still has the keys of the database.
    assert!(worker::register_keys(&app.state).await.unwrap().is_empty());
}

#[actix_web::test]
async fn a_secret_that_is_not_random_stops_the_start_and_open_modes_are_warned_about() {
    let folder = TempDir::new().unwrap();
    let secret = folder.path().join("my-secret");
    let path = secret.to_str().unwrap();
    let run = |bytes: &[u8], mode| {
        std::fs::write(&secret, bytes).unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(mode)).unwrap();
        let (mut command, _) = Service::command(folder.path(), Some("postgres://127.0.0.1:1/none"));
        command.env("KEYWARD_SECRET_FILE", path).stderr(Stdio::piped());
        let mut service = command.spawn().unwrap();
        let mut lines = BufReader::new(service.stderr.take().unwrap()).lines();
        let line = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("KEYWARD_SECRET_FILE")));
        let line = line.unwrap().unwrap();
        service.kill().unwrap();
        service.wait().unwrap();
        line
    };
    let line = run(&[0; 32], 0o600);
    assert!(
        line.starts_with("keyward: KEYWARD_SECRET_FILE: ") && line.contains("not random"),
        "{line}"
    );
    let line = run(&keyward::secret::random::<32>().unwrap(), 0o666);
    assert!(
        line.contains("every user of this machine can change the file"),
        "{line}"
    );
    let line = run(&keyward::secret::random::<32>().unwrap(), 0o644);
    assert!(line.contains("every user of this machine can read the file"), "{line}");
}

#[test]
fn a_secret_in_the_place_of_its_file_is_not_printed() {
    let folder = TempDir::new().unwrap();
    for setting in ["KEYWARD_SECRET_FILE", "KEYWARD_SIGNING_KEYS"] {
        let (mut command, _) = Service::command(folder.path(), Some("postgres://127.0.0.1:1/none"));
        let mut service = command
            .env(setting, "CANARY-3f9a")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut text = String::new();
        service.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(!service.wait().unwrap().success());
        assert!(
            text.contains(&format!("keyward: {setting}: ")) && !text.contains("CANARY"),
            "{text}"
        );
    }
}

#[actix_web::test]
async fn the_metrics_page_describes_every_metric() {
    let app = TestApp::start();
    let folder = TempDir::new().unwrap();
    let (mut command, address) = Service::command(folder.path(), Some(app.database().url.expose_secret()));
    let admin = free_address();
    command
        .env("KEYWARD_ADMIN_BIND", admin.to_string())
        .envs([("KEYWARD_ARGON2_MEMORY_KIB", "8"), ("KEYWARD_ARGON2_ITERATIONS", "1")]);
    let service = Service::start((command, address)).await;
    let registration = serde_json::json!({"email": "ada@example.com", "password": PASSWORD});
    let url = format!("http://{address}/auth/register");
    app.client.post(url).json(&registration).send().await.unwrap();
    let login = serde_json::json!({"login": "bob", "password": "wrong"});
    for expected in [401; 10].into_iter().chain([429; 2]) {
        let url = format!("http://{address}/auth/login");
        let reply = app.client.post(url).json(&login).send().await.unwrap();
        assert_eq!(reply.status(), expected);
    }
    let mut text = String::new();
    wait_until(START, async || {
        let reply = app.client.get(format!("http://{admin}/metrics")).send().await.unwrap();
        text = reply.text().await.unwrap();
        text.contains("result=\"sent\"") && text.contains("keyward_db_listener_connected 1")
    })
    .await;
    drop(service);
    for line in [
        "keyward_refused_total{policy=\"password_throttle\"} 2",
        "keyward_refused_total{policy=\"writes\"} 0",
        "keyward_swept_rows_total{table=\"sessions\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md"));
    let described: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let rendered: BTreeSet<&str> = types.filter_map(|line| line.split(' ').next()).collect();
    let after_the_first_event = BTreeSet::from([
        "keyward_api_key_uses_lost_total",
        "keyward_db_abandoned_pools_total",
        "keyward_notification_streams",
        "keyward_worker_failures_total",
    ]);
    let missing: BTreeSet<_> = described.difference(&rendered).copied().collect();
    assert!(missing.is_subset(&after_the_first_event), "{missing:?}");
    assert!(rendered.is_subset(&described), "{:?}", rendered.difference(&described));
}
