//! The handle through which an application uses its server.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use secrecy::SecretString;

use crate::cluster;
use crate::data_dir::DataDir;
use crate::error::Error;
use crate::lock::{LifecycleLock, UsersLock};
use crate::options::Options;
use crate::password;
use crate::programs::Programs;
use crate::server::Server;
use crate::url;
use crate::version;
use crate::watchdog::Watchdog;

/// How often it is checked whether the server is still running.
const SUPERVISION_INTERVAL: Duration = Duration::from_millis(250);

/// A running PostgreSQL server, shared by all processes that use the same data folder. If the server ends unexpectedly, it
/// is started again under the same URL.
///
/// [`EmbeddedPostgres::stop`] ends the use of the server and returns errors. Dropping the value does the same and logs
/// errors. Both block while the server shuts down. If this process is killed, a watchdog process stops the server.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    shared: Arc<Shared>,
    url: SecretString,
    /// The supervising thread, which ends when the sender is dropped.
    supervisor: Option<(Sender<()>, JoinHandle<()>)>,
    watchdog: Option<Watchdog>,
}

/// What the supervising thread needs, too.
#[derive(Debug)]
struct Shared {
    data_dir: DataDir,
    options: Options,
    /// Taken only while `running` is locked: for the lock on the file, two threads of a process are one holder.
    lifecycle_lock: LifecycleLock,
    /// `None` after the server has been stopped or left to other processes.
    running: Mutex<Option<(Server, UsersLock)>>,
}

impl EmbeddedPostgres {
    /// Starts a server, or uses the one that is already running on the data folder. Creates the data folder and the
    /// cluster if they are missing. Blocks until the server accepts connections.
    ///
    /// # Errors
    ///
    /// Every variant of [`Error`] is possible, for example [`Error::NoPrograms`] if PostgreSQL is not installed,
    /// [`Error::VersionNotInstalled`] if only other major versions are, [`Error::NotACluster`] if the path of the cluster
    /// is taken, and [`Error::Failed`] if the server does not start, with the reason from its log. A cluster that exists
    /// is never replaced.
    pub fn start(options: &Options) -> Result<Self, Error> {
        options.check_name()?;
        let path = DataDir::create(&options.data_dir)?;
        let lifecycle_lock = LifecycleLock::open(&path)?;
        let guard = lifecycle_lock.acquire()?;
        let (users_lock, is_only_user) = UsersLock::acquire(&path, &guard)?;
        let data_dir = DataDir::resolve(path, options)?;
        let (server, password) = match Server::find(&data_dir, is_only_user)? {
            Some(server) => use_running(server, &data_dir)?,
            None => start_server(&data_dir, options)?,
        };
        drop(guard);
        let url = url::build(&server.socket_dir, server.port, &options.name, &password);
        let watchdog = Some(Watchdog::start(&data_dir));
        let shared = Arc::new(Shared {
            data_dir,
            options: options.clone(),
            lifecycle_lock,
            running: Mutex::new(Some((server, users_lock))),
        });
        let (stop, stopped) = channel();
        let supervised = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("postgres".to_owned());
        let supervisor = thread
            .spawn(move || supervised.supervise(&stopped))
            .inspect_err(|error| tracing::warn!(%error, "PostgreSQL is not started again if it ends unexpectedly"));
        Ok(Self {
            shared,
            url,
            supervisor: supervisor.ok().map(|thread| (stop, thread)),
            watchdog,
        })
    }

    /// The URL of the database for libpq and compatible clients. It contains the password.
    pub fn database_url(&self) -> &SecretString {
        &self.url
    }

    /// The directory of the cluster: `postgres` in the data folder, or the target of the link of that name.
    pub fn cluster_dir(&self) -> &Path {
        &self.shared.data_dir.cluster
    }

    /// Ends the use of the server. If no other process uses it, it is shut down: clients are disconnected, and the call
    /// returns when the server has ended.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] if the server has not ended after a minute; it continues to shut down. [`Error::Io`] if the lock
    /// file cannot be locked; the server keeps running.
    pub fn stop(mut self) -> Result<(), Error> {
        self.release()
    }

    fn release(&mut self) -> Result<(), Error> {
        if let Some((stop, thread)) = self.supervisor.take() {
            drop(stop);
            // An error means that the thread panicked, which is no reason not to stop the server.
            let _ = thread.join();
        }
        self.watchdog.take();
        self.shared.release()
    }
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, Option<(Server, UsersLock)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self) -> Result<(), Error> {
        let Some((server, users_lock)) = self.running().take() else {
            return Ok(());
        };
        let guard = self.lifecycle_lock.acquire()?;
        if users_lock.release(&guard) {
            server.stop(&self.data_dir)
        } else {
            tracing::info!("PostgreSQL keeps running for another process that uses this data folder");
            Ok(())
        }
    }

    /// Starts the server again whenever it has ended, until `stopped` is closed.
    fn supervise(&self, stopped: &Receiver<()>) {
        while stopped.recv_timeout(SUPERVISION_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            let mut running = self.running();
            let Some((server, _)) = running.as_mut() else { return };
            if server.is_running(&self.data_dir) {
                continue;
            }
            tracing::error!("PostgreSQL has ended unexpectedly; starting it again");
            match self.restart() {
                Ok(restarted) => *server = restarted,
                Err(error) => tracing::error!(%error, "cannot start PostgreSQL again; trying until it works"),
            }
        }
    }

    fn restart(&self) -> Result<Server, Error> {
        let _guard = self.lifecycle_lock.acquire()?;
        // Another process that uses the server may have been faster.
        match Server::find(&self.data_dir, false)? {
            Some(server) => Ok(server),
            None => Ok(start_server(&self.data_dir, &self.options)?.0),
        }
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        if let Err(error) = self.release() {
            tracing::warn!(%error, "cannot stop PostgreSQL");
        }
    }
}

fn use_running(server: Server, data_dir: &DataDir) -> Result<(Server, SecretString), Error> {
    let path = data_dir.password_file();
    let Some(password) = password::read(&path) else {
        return Err(Error::PasswordLost {
            path,
            pid: server.pid.as_raw(),
        });
    };
    tracing::info!(cluster = %data_dir.cluster.display(), "using the PostgreSQL server that is already running");
    Ok((server, password))
}

fn start_server(data_dir: &DataDir, options: &Options) -> Result<(Server, SecretString), Error> {
    let version = version::of_cluster(&data_dir.cluster)?;
    let programs = Programs::find(data_dir, &options.search_path, version.as_deref())?;
    let password = match (version, password::read(&data_dir.password_file())) {
        (Some(_), Some(password)) => password,
        (Some(_), None) => cluster::set_password(data_dir, &programs, options, &data_dir.cluster, "")?,
        (None, _) => {
            tracing::info!(cluster = %data_dir.cluster.display(), "creating a PostgreSQL cluster");
            cluster::create(data_dir, &programs, options)?
        }
    };
    data_dir.link_cluster()?;
    Ok((Server::start(data_dir, &programs, options)?, password))
}
