//! What can go wrong, each in one line that says what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why the private PostgreSQL is not there. Every one displays as a single line for whoever started the program.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No directory holds both `initdb` and `postgres`.
    #[error(
        "no PostgreSQL server programs found: install them (`apt-get install postgresql`, `brew install postgresql`), \
         or set DATABASE_URL to a server that runs"
    )]
    NoPrograms,
    /// The cluster belongs to a major version that is not installed.
    #[error(
        "the database in {} was made by PostgreSQL {made_by}, but only {installed} is installed: install PostgreSQL \
         {made_by} beside it, or move the data over with pg_upgrade", cluster.display()
    )]
    OtherVersion {
        /// Where the cluster is.
        cluster: PathBuf,
        /// The major version that can read it.
        made_by: String,
        /// The major versions that were found.
        installed: String,
    },
    /// Something else lies where the cluster should.
    #[error("{} holds no PostgreSQL database: move it away, and a new one is made", .0.display())]
    NotACluster(PathBuf),
    /// The link to a cluster outside of the data folder leads nowhere.
    #[error(
        "{} is a link to a database that is gone: bring it back, or remove the link to begin with an empty one",
        .0.display()
    )]
    LostCluster(PathBuf),
    /// Root cannot run the server, and there is nobody else.
    #[error(
        "PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`: create one, or start \
         keyward as another user"
    )]
    NoAccount,
    /// The account of the server cannot get at its files.
    #[error(
        "the user {account}, as whom PostgreSQL runs, cannot enter {}: allow it (`chmod o+x`), or choose another \
         KEYWARD_DATA_DIR", folder.display()
    )]
    Unreachable {
        /// As whom the server runs.
        account: String,
        /// The first folder on the way that is closed to it.
        folder: PathBuf,
    },
    /// Somebody else made the directory that was to hold the socket.
    #[error("{} exists and is not a private directory of the server's user: remove it and start again", .0.display())]
    SocketDirTaken(PathBuf),
    /// A server runs whose password nobody knows.
    #[error(
        "{} is missing while its server runs: stop that server (`kill -INT {pid}`) and start again, which sets a new \
         password", path.display()
    )]
    PasswordLost {
        /// Where the password should be.
        path: PathBuf,
        /// The server.
        pid: i32,
    },
    /// Another process uses the cluster under another path: two servers would destroy it.
    #[error(
        "{} is in use by another process, which knows it as {}: stop that one, or start this one under the same path",
        cluster.display(), other.display()
    )]
    UsedElsewhere {
        /// The cluster.
        cluster: PathBuf,
        /// Its path when its server was started.
        other: PathBuf,
    },
    /// A server program failed.
    #[error("PostgreSQL cannot {task}: {reason} (the whole story: {})", log.display())]
    Failed {
        /// What it was to do.
        task: &'static str,
        /// The line in which it says why.
        reason: String,
        /// Where the rest is.
        log: PathBuf,
    },
    /// The server does not get ready or does not stop; it is left to its work.
    #[error("PostgreSQL (process {pid}) has not {task} after {seconds} s: see {}, and try again", log.display())]
    Slow {
        /// The server.
        pid: i32,
        /// What it is still at.
        task: &'static str,
        /// For how long it was waited.
        seconds: u64,
        /// Where it says why.
        log: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {task} {}: {source}; make the data folder writable, or choose another KEYWARD_DATA_DIR", path.display())]
    Io {
        /// What was tried.
        task: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The operating system refused to start a program.
    #[error("cannot run {}: {source}; check that it is installed properly, or set DATABASE_URL", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// No randomness for the password.
    #[error("the operating system has no random bytes to give: try again")]
    NoRandomness,
}

impl EmbeddedError {
    /// For `map_err`: names what was tried on `path`.
    pub(super) fn io(task: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            task,
            path: path.to_owned(),
            source,
        }
    }
}
