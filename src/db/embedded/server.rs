//! The running server: recognised, started, stopped.
//!
//! `postmaster.pid` tells who serves a cluster and how far it is, so that no connection is needed. But it stays behind
//! when the server is killed, and then its process id may soon be somebody else's: it is believed only if the socket
//! answers, or if the process was started on this very cluster.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::error::EmbeddedError;
use super::place::{PORT, Place, socket_in};
use super::programs::Programs;

/// How often the state is looked at.
const POLL: Duration = Duration::from_millis(5);
/// Recovery after a crash takes its time; it is not begun anew.
const LONGEST_START: Duration = Duration::from_mins(2);
/// A fast shutdown writes what is in memory to disk.
const LONGEST_STOP: Duration = Duration::from_mins(1);
/// How long the last processes of a killed server may hold its memory.
const LONGEST_MOURNING: Duration = Duration::from_secs(10);
/// A log larger than this is put aside at the next start.
const LARGE_LOG: u64 = 16 << 20;

/// What a small private server needs. Given at each start, so that changes reach clusters that are there; what the
/// log would tell about people (statements, the values in details) is left out.
const SETTINGS: &[(&str, &str)] = &[
    ("max_connections", "100"),
    ("shared_buffers", "128MB"),
    ("password_encryption", "scram-sha-256"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("log_destination", "stderr"),
    ("logging_collector", "off"),
    ("log_line_prefix", "%m [%p] "),
    ("log_min_messages", "warning"),
    ("log_min_error_statement", "panic"),
    ("log_error_verbosity", "terse"),
    ("log_statement", "none"),
    ("log_min_duration_statement", "-1"),
    ("log_checkpoints", "off"),
];

/// The arguments that make the settings.
pub(super) fn arguments(settings: &[(&str, &str)]) -> Vec<OsString> {
    let all = SETTINGS.iter().chain(settings);
    all.flat_map(|(name, value)| [OsString::from("-c"), OsString::from(format!("{name}={value}"))])
        .collect()
}

/// `postmaster.pid`.
#[derive(Debug)]
struct PidFile {
    pid: Pid,
    cluster: PathBuf,
    port: u16,
    /// Unknown while the server has not come so far.
    socket_dir: Option<PathBuf>,
    is_ready: bool,
}

impl PidFile {
    fn path(cluster: &Path) -> PathBuf {
        cluster.join("postmaster.pid")
    }

    fn read(cluster: &Path) -> Option<Self> {
        Self::parse(&fs::read(Self::path(cluster)).ok()?)
    }

    /// The lines: process, cluster, time of start, port, directory of the socket, address, shared memory, status.
    fn parse(text: &[u8]) -> Option<Self> {
        let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let path = |line| PathBuf::from(OsStr::from_bytes(line));
        let pid = number::<i32>(lines.next()?).filter(|pid| *pid > 1)?;
        let cluster = path(lines.next()?);
        let port = lines.nth(1).and_then(number).unwrap_or(PORT);
        let socket_dir = lines.next().filter(|dir| !dir.is_empty()).map(path);
        Some(Self {
            pid: Pid::from_raw(pid),
            cluster,
            port,
            socket_dir,
            is_ready: lines.nth(2) == Some(b"ready"),
        })
    }

    /// Whether the server of this cluster is there. The file of a cluster that was copied while it ran names the server
    /// of the original.
    fn is_true(&self, cluster: &Path) -> bool {
        self.cluster == cluster && (self.answers() || self.is_its_process(cluster))
    }

    fn answers(&self) -> bool {
        self.socket_dir
            .as_ref()
            .is_some_and(|dir| UnixStream::connect(socket_in(dir, self.port)).is_ok())
    }

    /// Whether the process is the server of this cluster; a system without `/proc` does not say more than that the
    /// process lives and the socket answers.
    fn is_its_process(&self, cluster: &Path) -> bool {
        if kill(self.pid, None) == Err(Errno::ESRCH) {
            return false;
        }
        match fs::read(format!("/proc/{}/cmdline", self.pid)) {
            Ok(line) => line
                .split(|byte| *byte == 0)
                .any(|argument| argument == cluster.as_os_str().as_bytes()),
            Err(_) => !Path::new("/proc/self").exists() && self.answers(),
        }
    }
}

fn number<T: FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A server that takes connections.
#[derive(Debug)]
pub(super) struct Server {
    /// Absent for one that an earlier process started.
    child: Option<Child>,
    pub pid: Pid,
    pub port: u16,
    pub socket_dir: PathBuf,
}

impl Server {
    /// The server that runs on the cluster already. What a dead one left behind is cleared away.
    ///
    /// In another container the cluster may have another path, and the process id another meaning. PostgreSQL cannot
    /// see such a server, but whoever uses it is not `alone`.
    pub fn adopt(place: &Place, alone: bool) -> Result<Option<Self>, EmbeddedError> {
        let cluster = &place.cluster;
        let Some(found) = PidFile::read(cluster) else {
            return Ok(None);
        };
        if found.cluster != *cluster && !alone {
            return Err(EmbeddedError::UsedElsewhere {
                cluster: cluster.clone(),
                other: found.cluster,
            });
        }
        if found.is_true(cluster)
            && let Some(server) = until_ready(place, found.pid, || found.is_true(cluster))?
        {
            return Ok(Some(server));
        }
        // PostgreSQL sees for itself that a process is gone, but takes any that lives for the server.
        if PidFile::read(cluster).is_some_and(|left| kill(left.pid, None) != Err(Errno::ESRCH)) {
            let path = PidFile::path(cluster);
            fs::remove_file(&path).map_err(EmbeddedError::io("remove", &path))?;
        }
        Ok(None)
    }

    /// Starts a server and waits until it is ready. The caller saw that there is none.
    pub fn launch(place: &Place, programs: &Programs, settings: &[(&str, &str)]) -> Result<Self, EmbeddedError> {
        let begun = Instant::now();
        let log_path = place.log();
        let socket_dir = place.socket_dir()?;
        // What a killed server left; PostgreSQL believes it as it believes `postmaster.pid`.
        let _ = fs::remove_file(socket_in(&socket_dir, PORT).with_extension(format!("{PORT}.lock")));
        loop {
            let (log, seen) = open_log(&log_path)?;
            let mut child = spawn(place, programs, settings, &socket_dir, &log)?;
            let pid = Pid::from_raw(child.id().cast_signed());
            let lives = || matches!(child.try_wait(), Ok(None));
            if let Some(mut server) = until_ready(place, pid, lives)? {
                server.child = Some(child);
                return Ok(server);
            }
            let reason = reason_in(&tail(&log_path, seen));
            // The sessions of a killed server notice within moments that they have been orphaned.
            if reason.contains("pre-existing shared memory block") && begun.elapsed() < LONGEST_MOURNING {
                std::thread::sleep(POLL * 10);
                continue;
            }
            return Err(EmbeddedError::Failed {
                task: "start",
                reason,
                log: log_path,
            });
        }
    }

    /// Disconnects whoever is connected, and waits until everything is on disk.
    pub fn stop(mut self, place: &Place) -> Result<(), EmbeddedError> {
        let pid = self.pid;
        if self.is_running(place) && kill(pid, Signal::SIGINT) != Err(Errno::ESRCH) {
            let begun = Instant::now();
            while !self.has_ended(place) {
                if begun.elapsed() > LONGEST_STOP {
                    return Err(slow(place, pid, "stopped", LONGEST_STOP));
                }
                std::thread::sleep(POLL);
            }
        }
        place.remove_socket_dir(&self.socket_dir);
        Ok(())
    }

    /// A child keeps its id until it has been waited for; that of a stranger may be somebody else's by now.
    fn is_running(&mut self, place: &Place) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => self
                .own_file(place)
                .is_some_and(|found| found.is_its_process(&place.cluster)),
        }
    }

    /// The file goes with the last that a server does.
    fn has_ended(&mut self, place: &Place) -> bool {
        match &mut self.child {
            Some(child) => !matches!(child.try_wait(), Ok(None)),
            None => self.own_file(place).is_none() || kill(self.pid, None) == Err(Errno::ESRCH),
        }
    }

    fn own_file(&self, place: &Place) -> Option<PidFile> {
        PidFile::read(&place.cluster).filter(|found| found.pid == self.pid)
    }
}

/// Waits for the server `pid` as long as it `lives`; `None` when it does not any more.
fn until_ready(place: &Place, pid: Pid, mut lives: impl FnMut() -> bool) -> Result<Option<Server>, EmbeddedError> {
    let begun = Instant::now();
    let mut told = false;
    loop {
        let found = PidFile::read(&place.cluster).filter(|found| found.pid == pid);
        if let Some(PidFile {
            port,
            socket_dir: Some(socket_dir),
            is_ready: true,
            ..
        }) = found
        {
            return Ok(Some(Server {
                child: None,
                pid,
                port,
                socket_dir,
            }));
        }
        if !lives() {
            return Ok(None);
        }
        if begun.elapsed() > LONGEST_START {
            return Err(slow(place, pid, "become ready", LONGEST_START));
        }
        if !told && begun.elapsed() > Duration::from_secs(3) {
            told = true;
            tracing::info!(log = %place.log().display(), "PostgreSQL is not ready yet: it may be recovering");
        }
        std::thread::sleep(POLL);
    }
}

fn spawn(
    place: &Place,
    programs: &Programs,
    settings: &[(&str, &str)],
    socket_dir: &Path,
    log: &File,
) -> Result<Child, EmbeddedError> {
    let log_path = place.log();
    let duplicate = || log.try_clone().map_err(EmbeddedError::io("write", &log_path));
    place
        .command(&programs.postgres)
        .arg("-D")
        .arg(&place.cluster)
        .args(arguments(settings))
        .args([
            "-c",
            &format!("port={PORT}"),
            "-c",
            "listen_addresses=",
            "-c",
            "unix_socket_permissions=0700",
            "-c",
        ])
        .arg(socket_setting(socket_dir))
        .stdin(Stdio::null())
        .stdout(duplicate()?)
        .stderr(duplicate()?)
        // Ctrl-C is for the program in the foreground: it stops the server when its last request is answered.
        .process_group(0)
        .spawn()
        .map_err(|source| EmbeddedError::Run {
            program: programs.postgres.clone(),
            source,
        })
}

/// The setting is a list with commas; in quotes a path is one item whatever is in it.
fn socket_setting(dir: &Path) -> OsString {
    let mut setting = b"unix_socket_directories=\"".to_vec();
    for byte in dir.as_os_str().as_bytes() {
        setting.extend(std::iter::repeat_n(*byte, if *byte == b'"' { 2 } else { 1 }));
    }
    setting.push(b'"');
    OsString::from_vec(setting)
}

fn slow(place: &Place, pid: Pid, task: &'static str, limit: Duration) -> EmbeddedError {
    EmbeddedError::Slow {
        pid: pid.as_raw(),
        task,
        seconds: limit.as_secs(),
        log: place.log(),
    }
}

/// The log, and how long it is: what comes after was written by the next to be started.
fn open_log(path: &Path) -> Result<(File, u64), EmbeddedError> {
    if fs::metadata(path).is_ok_and(|log| log.len() > LARGE_LOG) {
        fs::rename(path, path.with_extension("log.old")).map_err(EmbeddedError::io("put aside", path))?;
    }
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let log = log.map_err(EmbeddedError::io("write", path))?;
    let seen = log.metadata().map_err(EmbeddedError::io("look at", path))?.len();
    Ok((log, seen))
}

/// What the log says from `seen` on; the last of it, if that is much.
fn tail(path: &Path, seen: u64) -> String {
    const MUCH: u64 = 64 << 10;
    let mut text = Vec::new();
    if let Ok(mut log) = File::open(path) {
        let end = log.metadata().map_or(0, |log| log.len());
        let _ = log.seek(SeekFrom::Start(seen.max(end.saturating_sub(MUCH))));
        let _ = log.take(MUCH).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The line that says why: the last that complains, else the last at all.
pub(super) fn reason_in(output: &str) -> String {
    const COMPLAINTS: [&str; 4] = ["FATAL:", "PANIC:", "ERROR:", "error:"];
    let lines = || output.lines().map(str::trim).filter(|line| !line.is_empty()).rev();
    let complaint = lines().find_map(|line| {
        let start = COMPLAINTS
            .iter()
            .find_map(|word| line.find(word).map(|at| at + word.len()))?;
        line.get(start..).map(str::trim)
    });
    complaint
        .or_else(|| lines().next())
        .unwrap_or("it ended without a word")
        .to_owned()
}
