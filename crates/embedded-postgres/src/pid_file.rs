//! `postmaster.pid`, in which a running server records its process and its state.
//!
//! A killed server leaves its file behind, and the operating system may give the process ID to another program. The file
//! counts as valid only if the socket accepts connections or the process was started with this cluster as an argument.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::error::Error;
use crate::socket::{self, PORT};

#[derive(Debug)]
pub(crate) struct PidFile {
    pub pid: Pid,
    pub cluster: PathBuf,
    pub port: u16,
    /// Missing while the server has not created its socket.
    pub socket_dir: Option<PathBuf>,
    pub is_ready: bool,
}

impl PidFile {
    fn path(cluster: &Path) -> PathBuf {
        cluster.join("postmaster.pid")
    }

    pub fn read(cluster: &Path) -> Option<Self> {
        Self::parse(&fs::read(Self::path(cluster)).ok()?)
    }

    pub fn remove(cluster: &Path) -> Result<(), Error> {
        let path = Self::path(cluster);
        fs::remove_file(&path).map_err(Error::io("remove", &path))
    }

    /// The lines are: process ID, cluster, start time, port, socket directory, listen address, shared memory, status.
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

    /// Whether a server is running on this cluster. In a copy of a running cluster, the file names the server of the
    /// original.
    pub fn is_valid(&self, cluster: &Path) -> bool {
        self.cluster == cluster && (self.accepts_connections() || self.is_process_of(cluster))
    }

    /// Whether the process exists and was started on this cluster. Without `/proc`, as on macOS, the socket has to accept
    /// connections instead.
    pub fn is_process_of(&self, cluster: &Path) -> bool {
        if !self.process_exists() {
            return false;
        }
        match fs::read(format!("/proc/{}/cmdline", self.pid)) {
            Ok(line) => line
                .split(|byte| *byte == 0)
                .any(|argument| argument == cluster.as_os_str().as_bytes()),
            Err(_) => !Path::new("/proc/self").exists() && self.accepts_connections(),
        }
    }

    pub fn process_exists(&self) -> bool {
        kill(self.pid, None) != Err(Errno::ESRCH)
    }

    fn accepts_connections(&self) -> bool {
        self.socket_dir
            .as_ref()
            .is_some_and(|dir| UnixStream::connect(socket::path_in(dir, self.port)).is_ok())
    }
}

fn number<T: FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_ready_server_is_parsed() {
        let text = b"4711\n/data/postgres\n1700000000\n5433\n/tmp/socket\n\n  1234  0\nready   \n";
        let file = PidFile::parse(text).unwrap();
        assert_eq!((file.pid.as_raw(), file.port, file.is_ready), (4711, 5433, true));
        assert_eq!(file.cluster, Path::new("/data/postgres"));
        assert_eq!(file.socket_dir.as_deref(), Some(Path::new("/tmp/socket")));
    }

    #[test]
    fn the_file_of_a_starting_server_has_no_socket_yet() {
        let file = PidFile::parse(b"4711\n/data/postgres\n1700000000\n5432\n").unwrap();
        assert_eq!((file.socket_dir, file.is_ready), (None, false));
        let file = PidFile::parse(b"4711\n/data/postgres\n1\n5432\n/data/postgres\n\n1 2\nstarting\n").unwrap();
        assert!(!file.is_ready);
    }

    #[test]
    fn text_without_a_valid_process_id_is_rejected() {
        for text in ["", "x\n/data", "1\n/data", "-5\n/data", "4711"] {
            assert!(PidFile::parse(text.as_bytes()).is_none(), "{text:?}");
        }
    }
}
