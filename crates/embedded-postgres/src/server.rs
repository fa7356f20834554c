//! Starts, finds and stops the server.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::data_dir::DataDir;
use crate::error::Error;
use crate::options::Options;
use crate::pid_file::PidFile;
use crate::programs::Programs;
use crate::server_log;
use crate::settings;
use crate::socket::{self, PORT};

const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Long, because recovery after a crash takes time and would only begin again if the server were killed.
const START_TIMEOUT: Duration = Duration::from_mins(2);
/// A start that takes longer is logged.
const SLOW_START: Duration = Duration::from_secs(3);
/// The server writes its memory to disk before it ends.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);
/// The session processes of a killed server hold its shared memory until they notice that it is gone.
const SHARED_MEMORY_TIMEOUT: Duration = Duration::from_secs(10);
const SHARED_MEMORY_RETRY: Duration = Duration::from_millis(50);

/// A server that accepts connections.
#[derive(Debug)]
pub(crate) struct Server {
    /// `None` if another process started the server.
    child: Option<Child>,
    pub pid: Pid,
    pub port: u16,
    pub socket_dir: PathBuf,
}

impl Server {
    /// Returns the server that is already running on the cluster. Removes the file of a server that was killed.
    ///
    /// `is_only_user` says that no other process uses the server. In another container the cluster can have another path
    /// and a process ID another meaning, so that neither this crate nor PostgreSQL can detect a server by its pid file.
    /// The lock on `postgres.users` works there, too.
    pub fn find(data_dir: &DataDir, is_only_user: bool) -> Result<Option<Self>, Error> {
        let cluster = &data_dir.cluster;
        let Some(file) = PidFile::read(cluster) else {
            return Ok(None);
        };
        if file.cluster != *cluster && !is_only_user {
            return Err(Error::InUse {
                cluster: cluster.clone(),
                other: file.cluster,
            });
        }
        if file.is_valid(cluster)
            && let Some(server) = wait_until_ready(data_dir, file.pid, || file.is_valid(cluster))?
        {
            return Ok(Some(server));
        }
        // PostgreSQL ignores a file whose process does not exist, but takes any existing process for the server.
        if PidFile::read(cluster).is_some_and(|left| left.process_exists()) {
            PidFile::remove(cluster)?;
        }
        Ok(None)
    }

    /// Starts a server and waits until it is ready. To be called when [`Server::find`] found none.
    pub fn start(data_dir: &DataDir, programs: &Programs, options: &Options) -> Result<Self, Error> {
        let started_at = Instant::now();
        let log_path = data_dir.log();
        let socket_dir = socket::create_dir(data_dir, &options.name)?;
        // A killed server leaves this file behind. PostgreSQL takes the process in it for a running server.
        let _ = fs::remove_file(socket::path_in(&socket_dir, PORT).with_extension(format!("{PORT}.lock")));
        loop {
            let (log, log_length) = server_log::open(&log_path)?;
            let mut child = spawn(data_dir, programs, options, &socket_dir, &log)?;
            let pid = Pid::from_raw(child.id().cast_signed());
            let is_alive = || matches!(child.try_wait(), Ok(None));
            if let Some(mut server) = wait_until_ready(data_dir, pid, is_alive)? {
                server.child = Some(child);
                return Ok(server);
            }
            let reason = server_log::reason_in(&server_log::text_since(&log_path, log_length));
            if reason.contains("pre-existing shared memory block") && started_at.elapsed() < SHARED_MEMORY_TIMEOUT {
                thread::sleep(SHARED_MEMORY_RETRY);
                continue;
            }
            return Err(Error::Failed {
                task: "start",
                reason,
                log: log_path,
            });
        }
    }

    /// Shuts the server down in PostgreSQL's fast mode, which disconnects all clients, and waits until it has ended.
    pub fn stop(mut self, data_dir: &DataDir) -> Result<(), Error> {
        let pid = self.pid;
        if self.is_running(data_dir) && kill(pid, Signal::SIGINT) != Err(Errno::ESRCH) {
            let stopped_at = Instant::now();
            while !self.has_ended(data_dir) {
                if stopped_at.elapsed() > STOP_TIMEOUT {
                    return Err(timeout(data_dir, pid, "stop", STOP_TIMEOUT));
                }
                thread::sleep(POLL_INTERVAL);
            }
        }
        socket::remove_dir(data_dir, &self.socket_dir);
        Ok(())
    }

    /// The ID of a child process is not reused before `try_wait` has returned its status. The ID of another process can
    /// be, so the pid file has to confirm it.
    pub fn is_running(&mut self, data_dir: &DataDir) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => self
                .pid_file(data_dir)
                .is_some_and(|file| file.is_process_of(&data_dir.cluster)),
        }
    }

    /// Removing the pid file is the last action of a server.
    fn has_ended(&mut self, data_dir: &DataDir) -> bool {
        match &mut self.child {
            Some(child) => !matches!(child.try_wait(), Ok(None)),
            None => self.pid_file(data_dir).is_none_or(|file| !file.process_exists()),
        }
    }

    fn pid_file(&self, data_dir: &DataDir) -> Option<PidFile> {
        PidFile::read(&data_dir.cluster).filter(|file| file.pid == self.pid)
    }
}

/// Waits until the server `pid` accepts connections; `None` if it ends before.
fn wait_until_ready(data_dir: &DataDir, pid: Pid, mut is_alive: impl FnMut() -> bool) -> Result<Option<Server>, Error> {
    let started_at = Instant::now();
    let mut is_logged = false;
    loop {
        let file = PidFile::read(&data_dir.cluster).filter(|file| file.pid == pid);
        if let Some(PidFile {
            port,
            socket_dir: Some(socket_dir),
            is_ready: true,
            ..
        }) = file
        {
            return Ok(Some(Server {
                child: None,
                pid,
                port,
                socket_dir,
            }));
        }
        if !is_alive() {
            return Ok(None);
        }
        if started_at.elapsed() > START_TIMEOUT {
            return Err(timeout(data_dir, pid, "become ready", START_TIMEOUT));
        }
        if !is_logged && started_at.elapsed() > SLOW_START {
            is_logged = true;
            tracing::info!(log = %data_dir.log().display(), "PostgreSQL is not ready yet; it may be recovering");
        }
        thread::sleep(POLL_INTERVAL);
    }
}

fn spawn(
    data_dir: &DataDir,
    programs: &Programs,
    options: &Options,
    socket_dir: &Path,
    log: &File,
) -> Result<Child, Error> {
    let log_path = data_dir.log();
    let duplicate = || log.try_clone().map_err(Error::io("write", &log_path));
    data_dir
        .user
        .command(&programs.postgres)
        .arg("-D")
        .arg(&data_dir.cluster)
        .args(settings::arguments(options))
        .args(settings::socket_arguments(socket_dir))
        .stdin(Stdio::null())
        .stdout(duplicate()?)
        .stderr(duplicate()?)
        // In its own process group the server does not receive the SIGINT of Ctrl-C. The application does, and stops the
        // server after its last query.
        .process_group(0)
        .spawn()
        .map_err(|source| Error::Run {
            program: programs.postgres.clone(),
            source,
        })
}

fn timeout(data_dir: &DataDir, pid: Pid, task: &'static str, limit: Duration) -> Error {
    Error::Timeout {
        pid: pid.as_raw(),
        task,
        seconds: limit.as_secs(),
        log: data_dir.log(),
    }
}
