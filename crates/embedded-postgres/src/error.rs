//! The errors of this crate. Each displays as a single line that names the cause and a remedy.

use std::io;
use std::path::{Path, PathBuf};

/// Why the server could not be started or stopped. Each error displays as a single line that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name in the options cannot be the name of a role and a database.
    #[error(
        "{0:?} cannot name the PostgreSQL role and database: use at most 63 lowercase letters, digits and underscores, \
         begin with a letter, and avoid the names that PostgreSQL reserves"
    )]
    InvalidName(String),
    /// No directory contains both `initdb` and `postgres`.
    #[error(
        "no PostgreSQL server programs (initdb, postgres) found: install them, for example with \
         `apt-get install postgresql` or `brew install postgresql`"
    )]
    NoPrograms,
    /// The cluster was created by a major version of PostgreSQL that is not installed.
    #[error(
        "the cluster {} was created by PostgreSQL {created_by}, but only {installed} is installed: install PostgreSQL \
         {created_by} as well, or upgrade the cluster with pg_upgrade", cluster.display()
    )]
    VersionNotInstalled {
        /// The directory of the cluster.
        cluster: PathBuf,
        /// The major version that created the cluster.
        created_by: String,
        /// The major versions that are installed, separated by commas.
        installed: String,
    },
    /// The path of the cluster is taken by something else.
    #[error("{} is not a PostgreSQL cluster: move it away, and a new cluster will be created", .0.display())]
    NotACluster(PathBuf),
    /// The cluster is outside the data folder, and the symbolic link to it leads nowhere.
    #[error(
        "{} is a symbolic link to a cluster that does not exist: restore the cluster, or remove the link to create an \
         empty cluster", .0.display()
    )]
    BrokenLink(PathBuf),
    /// This process is root, and there is no other user to run the server.
    #[error(
        "PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` to run it: create one of them, \
         or start this program as another user"
    )]
    NoServerUser,
    /// This process is root, and the user that runs the server has no access to the cluster.
    #[error(
        "PostgreSQL runs as the user {user}, who cannot enter {}: allow it with `chmod o+x`, or use another data folder",
        folder.display()
    )]
    ClosedFolder {
        /// The user that runs the server.
        user: String,
        /// The outermost folder on the path to the cluster that this user cannot enter.
        folder: PathBuf,
    },
    /// The directory for the socket exists already, and other users could have access to it.
    #[error("{} exists and is not a private directory of the user that runs PostgreSQL: remove it", .0.display())]
    UnsafeSocketDir(PathBuf),
    /// The server is running, but the file with its password is missing or damaged.
    #[error(
        "{} is missing or damaged while PostgreSQL is running: stop the server with `kill -INT {pid}` and start again, \
         which sets a new password", path.display()
    )]
    PasswordLost {
        /// The path of the password file.
        path: PathBuf,
        /// The process ID of the server.
        pid: i32,
    },
    /// Another process uses the cluster under another path. Two servers on one cluster would destroy it.
    #[error(
        "{} is in use by another process under the path {}: stop that process, or use the same path", cluster.display(),
        other.display()
    )]
    InUse {
        /// The path of the cluster for this process.
        cluster: PathBuf,
        /// The path of the cluster for the process that started the server.
        other: PathBuf,
    },
    /// A server program failed.
    #[error("PostgreSQL could not {task}: {reason}; see {}", log.display())]
    Failed {
        /// The task of the program.
        task: &'static str,
        /// The line of its output that contains the reason.
        reason: String,
        /// The file with its whole output.
        log: PathBuf,
    },
    /// The server takes too long to start or to stop. It is not killed and may still finish.
    #[error("PostgreSQL (process {pid}) did not {task} within {seconds} s: see {}, and try again", log.display())]
    Timeout {
        /// The process ID of the server.
        pid: i32,
        /// What the server has not finished.
        task: &'static str,
        /// The time limit.
        seconds: u64,
        /// The log of the server.
        log: PathBuf,
    },
    /// A file or folder cannot be used.
    #[error("cannot {task} {}: {source}; check the data folder and its permissions", path.display())]
    Io {
        /// The operation that failed.
        task: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A server program cannot be executed.
    #[error("cannot run {}: {source}; check that PostgreSQL is installed correctly", program.display())]
    Run {
        /// The path of the program.
        program: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The operating system returned no random bytes for the password.
    #[error("the operating system returned no random bytes: try again")]
    NoRandomBytes,
}

impl Error {
    /// Returns a function for `map_err` that adds the operation and the path to an I/O error.
    pub(crate) fn io(task: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            task,
            path: path.to_owned(),
            source,
        }
    }
}
