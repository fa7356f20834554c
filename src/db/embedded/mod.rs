//! The private PostgreSQL of the default set-up: who names no database gets one of their own.
//!
//! | in the data folder | |
//! |---|---|
//! | `postgres` | the cluster; a link if root's data folder is closed to the account of the server |
//! | `postgres-password` | of the role `keyward`; made anew, and set, when it is missing |
//! | `postgres.log` | what the server says |
//! | `postgres.lock` | held while one process starts or stops the server: who comes second waits, and then sees |
//! | `postgres.users` | held, shared, by every process that uses the server |
//!
//! The server listens on a Unix socket only, in a directory that is its account's alone. It runs in a process group of
//! its own, so that Ctrl-C reaches the program and not the database under it. It outlives a program that is killed, and
//! the next one adopts it. Whoever stops using it last stops it.
//!
//! What must never happen: that a cluster is seen half made; that a new one is made where an older one is only out of
//! reach; that one process stops the server under another.

mod cluster;
mod error;
mod place;
mod programs;
mod server;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

pub use error::EmbeddedError;
use place::Place;
use programs::Programs;
use server::Server;

/// What the private server is made of.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// The program's data folder; made if it is missing.
    pub data_dir: &'a Path,
    /// `PATH`, where the server programs are looked for first.
    pub search_path: Option<OsString>,
    /// Settings of `postgresql.conf` that win over the module's own. `fsync=off` makes the cluster unsafe, and fast.
    pub settings: &'a [(&'a str, &'a str)],
}

/// A running PostgreSQL that is this program's own, or shared with others of the same data folder.
///
/// [`EmbeddedPostgres::stop`] ends the use of it; so does dropping it, but that cannot say what went wrong.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    place: Place,
    url: SecretString,
    lock: File,
    /// Until the use of it has ended: the server, and the file that counts its users.
    running: Option<(Server, File)>,
}

impl EmbeddedPostgres {
    /// Starts the server, or adopts the one that runs; makes the cluster if there is none. Blocks until connections are
    /// taken.
    ///
    /// # Errors
    /// Each in one line that says what to do.
    pub fn start(options: &Options<'_>) -> Result<Self, EmbeddedError> {
        place::create_dir(options.data_dir, 0o700)?;
        let data_dir = fs::canonicalize(options.data_dir).map_err(EmbeddedError::io("look at", options.data_dir))?;
        let lock_path = data_dir.join("postgres.lock");
        let lock = open_for_locking(&lock_path)?;
        take_turn(&lock, &lock_path)?;
        let place = Place::settle(&data_dir)?;
        let users_path = place.file("postgres.users");
        let users = open_for_locking(&users_path)?;
        let alone = users.try_lock().is_ok();
        let _ = users.unlock();
        users.lock_shared().map_err(EmbeddedError::io("lock", &users_path))?;
        let (server, password) = match Server::adopt(&place, alone)? {
            Some(server) => adopted(server, &place)?,
            None => launched(&place, options)?,
        };
        let url = database_url(&server, &password);
        let _ = lock.unlock();
        Ok(Self {
            place,
            url,
            lock,
            running: Some((server, users)),
        })
    }

    /// Where the database `keyward` is, for libpq; it contains the password.
    pub fn database_url(&self) -> &SecretString {
        &self.url
    }

    /// The directory of the cluster.
    pub fn cluster_dir(&self) -> &Path {
        &self.place.cluster
    }

    /// Ends the use of the server: the last one out stops it, in the fast way that disconnects whoever is connected,
    /// and waits until it has stopped.
    ///
    /// # Errors
    /// The server takes too long; it is then still about to stop.
    pub fn stop(mut self) -> Result<(), EmbeddedError> {
        self.release()
    }

    fn release(&mut self) -> Result<(), EmbeddedError> {
        let Some((server, users)) = self.running.take() else {
            return Ok(());
        };
        take_turn(&self.lock, &self.place.file("postgres.lock"))?;
        // Nobody can come in between: who starts has to take the turn first.
        let _ = users.unlock();
        let stopped = if users.try_lock().is_ok() {
            server.stop(&self.place)
        } else {
            tracing::info!("PostgreSQL goes on running for another process of this data folder");
            Ok(())
        };
        let _ = users.unlock();
        let _ = self.lock.unlock();
        stopped
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        if let Err(error) = self.release() {
            tracing::warn!(%error, "PostgreSQL was not stopped");
        }
    }
}

fn adopted(server: Server, place: &Place) -> Result<(Server, SecretString), EmbeddedError> {
    let Some(password) = cluster::password(place) else {
        return Err(EmbeddedError::PasswordLost {
            path: cluster::password_file(place),
            pid: server.pid.as_raw(),
        });
    };
    tracing::info!(cluster = %place.cluster.display(), "using the PostgreSQL that runs already");
    Ok((server, password))
}

fn launched(place: &Place, options: &Options<'_>) -> Result<(Server, SecretString), EmbeddedError> {
    let settings = options.settings;
    let version = cluster::version(&place.cluster)?;
    let programs = Programs::find(place, options.search_path.as_deref(), version.as_deref())?;
    let password = match (version, cluster::password(place)) {
        (Some(_), Some(password)) => password,
        (Some(_), None) => cluster::set_password(place, &programs, settings, &place.cluster, "")?,
        (None, _) => {
            tracing::info!(cluster = %place.cluster.display(), "making a private PostgreSQL database");
            cluster::create(place, &programs, settings)?
        }
    };
    place.link()?;
    Ok((Server::launch(place, &programs, settings)?, password))
}

fn open_for_locking(path: &Path) -> Result<File, EmbeddedError> {
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    opened.map_err(EmbeddedError::io("write", path))
}

/// The lock goes with the process that holds it, however that ends.
fn take_turn(lock: &File, path: &Path) -> Result<(), EmbeddedError> {
    if lock.try_lock().is_ok() {
        return Ok(());
    }
    tracing::info!("waiting for another process that starts or stops the PostgreSQL of this data folder");
    lock.lock().map_err(EmbeddedError::io("lock", path))
}

/// The directory of the socket stands where other URLs have the host.
fn database_url(server: &Server, password: &SecretString) -> SecretString {
    let name = cluster::NAME;
    let mut url = format!("postgresql://{name}:{}@", password.expose_secret());
    for byte in server.socket_dir.as_os_str().as_bytes() {
        // RFC 3986, 2.3: what needs no escape anywhere.
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            url.push(char::from(*byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    let _ = write!(url, ":{}/{name}", server.port);
    SecretString::from(url)
}
