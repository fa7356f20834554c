//! Stops the server if this process ends without stopping it, also when it is killed.
//!
//! A shell waits until the pipe to it is closed, which the operating system does in any case. Then it takes the same locks
//! as [`crate::EmbeddedPostgres::stop`], with the program `flock`, so that a server in use by another process keeps
//! running. Without a shell, `flock` or `/proc` the server keeps running as well, and the next start finds it.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::data_dir::DataDir;

/// Reads the process ID only now, because the server may have been started again, and checks that it is a server of this
/// cluster. The locks are held until the server has ended. The command line of a process that has ended is empty.
///
/// The pipe of a killed process can be closed some milliseconds before its locks, so the second lock is tried for a second.
const SCRIPT: &str = r#"
while read -r _; do :; done
for _ in 1 2 3 4 5 6 7 8 9 10; do
    flock "$1" flock -n "$2" sh -c '
        read -r pid <"$1/postmaster.pid" || exit 0
        tr "\0" "\n" <"/proc/$pid/cmdline" | grep -qxF -e "$1" || exit 0
        kill -INT "$pid"
        while grep -q . "/proc/$pid/cmdline" 2>/dev/null; do sleep 0.1; done
    ' sh "$3" && exit
    sleep 0.1
done
"#;

#[derive(Debug)]
pub(crate) struct Watchdog(Option<Child>);

impl Watchdog {
    /// To be started when the server is running and the locks of this process are held.
    pub fn start(data_dir: &DataDir) -> Self {
        let [lifecycle_lock, users_lock] = data_dir.lock_files();
        let child = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "sh"])
            .args([&lifecycle_lock, &users_lock, &data_dir.cluster])
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .current_dir(Path::new("/"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A signal to the process group of the application must not end it.
            .process_group(0)
            .spawn();
        if let Err(error) = &child {
            tracing::debug!(%error, "no watchdog: PostgreSQL keeps running if this process is killed");
        }
        Self(child.ok())
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // Before the pipe is closed. Errors mean that it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
