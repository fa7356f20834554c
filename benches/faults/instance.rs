//! A `keyward serve` process with its own data folder and private PostgreSQL.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub const USERNAME: &str = "ada";
pub const PASSWORD: &str = "plum-rocket-tundra-fiddle";

pub struct Instance {
    data_dir: PathBuf,
    port: u16,
    settings: Vec<(&'static str, String)>,
    process: Child,
}

/// A port that is free at the moment.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn url(port: u16, path: &str) -> String {
    format!("http://127.0.0.1:{port}{path}")
}

fn keyward(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyward"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("KEYWARD_DATA_DIR", data_dir)
        .env("KEYWARD_LOG", "off");
    command
}

impl Instance {
    /// Waits until the service is ready.
    pub fn start(data_dir: &Path, port: u16) -> Self {
        Self::start_with(data_dir, port, Vec::new())
    }

    /// As [`Instance::start`], with additional settings.
    pub fn start_with(data_dir: &Path, port: u16, settings: Vec<(&'static str, String)>) -> Self {
        let process = keyward(data_dir)
            .arg("serve")
            .env("KEYWARD_BIND", format!("127.0.0.1:{port}"))
            .env("KEYWARD_PUBLIC_URL", "http://127.0.0.1")
            .env("KEYWARD_RATE_LIMITS", "off")
            .env("KEYWARD_DRAIN_SECONDS", "1")
            .env("KEYWARD_ACCESS_TOKEN_SECONDS", "3600")
            .envs(settings.clone())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let instance = Self {
            data_dir: data_dir.to_owned(),
            port,
            settings,
            process,
        };
        instance.wait_until_ready();
        instance
    }

    pub fn url(&self, path: &str) -> String {
        url(self.port, path)
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// A figure of the process's memory in bytes: `VmRSS` now, or `VmHWM` at most since [`Instance::reset_peak_memory`].
    pub fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib << 10
    }

    pub fn reset_peak_memory(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.process.id()), "5").unwrap();
    }

    pub fn create_user(&self, username: &str, role: &str) {
        let email = format!("{username}@example.com");
        let mut process = keyward(&self.data_dir)
            .args([
                "user",
                "create",
                "--email",
                &email,
                "--username",
                username,
                "--role",
                role,
            ])
            .args(["--verified", "--password-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        writeln!(process.stdin.take().unwrap(), "{PASSWORD}").unwrap();
        assert!(process.wait().unwrap().success());
    }

    /// Sends SIGKILL to the service, optionally to its PostgreSQL first, and starts it again.
    pub fn kill_and_start(mut self, with_postgres: bool) -> Self {
        if with_postgres {
            let pid_file = self.data_dir.join("postgres/postmaster.pid");
            let text = std::fs::read_to_string(pid_file).unwrap();
            let pid: i32 = text.lines().next().unwrap().parse().unwrap();
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        }
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        Self::start_with(&self.data_dir, self.port, self.settings)
    }

    /// Stops the service with SIGTERM, as a service manager does, and starts it again.
    pub fn stop_and_start(self) -> Self {
        let (data_dir, port, settings) = (self.data_dir.clone(), self.port, self.settings.clone());
        self.stop();
        Self::start_with(&data_dir, port, settings)
    }

    pub fn stop(mut self) {
        let pid = i32::try_from(self.process.id()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        assert!(self.process.wait().unwrap().success());
    }

    fn wait_until_ready(&self) {
        use std::io::Read as _;
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            assert!(Instant::now() < deadline, "the service does not become ready");
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                let mut response = String::new();
                let sent = stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
                if sent.is_ok() && stream.read_to_string(&mut response).is_ok() && response.starts_with("HTTP/1.1 200")
                {
                    return;
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
