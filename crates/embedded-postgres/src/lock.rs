//! The locks by which processes coordinate on one data folder.
//!
//! Both are advisory locks on files in the data folder. The operating system releases them when a process ends, however it
//! ends. Two handles in one process exclude each other like two processes.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// `postgres.lock`: locked while a process starts or stops the server, so that only one does at a time.
#[derive(Debug)]
pub(crate) struct LifecycleLock {
    file: File,
    path: PathBuf,
}

/// Unlocks when dropped.
pub(crate) struct LifecycleGuard<'a>(&'a File);

impl LifecycleLock {
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join("postgres.lock");
        Ok(Self {
            file: open(&path)?,
            path,
        })
    }

    /// Waits until no other process starts or stops the server.
    pub fn acquire(&self) -> Result<LifecycleGuard<'_>, Error> {
        if self.file.try_lock().is_err() {
            tracing::info!("waiting for another process that is starting or stopping PostgreSQL on this data folder");
            self.file.lock().map_err(Error::io("lock", &self.path))?;
        }
        Ok(LifecycleGuard(&self.file))
    }
}

impl Drop for LifecycleGuard<'_> {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// `postgres.users`: each process that uses the server holds a shared lock on it. A process that gets the exclusive lock
/// knows that no other process uses the server.
///
/// It is acquired and released only under the [`LifecycleLock`]. Otherwise a process could start to use the server between
/// the check that no other process does and the stop.
#[derive(Debug)]
pub(crate) struct UsersLock(File);

impl UsersLock {
    /// Returns whether no other process holds the lock, too.
    pub fn acquire(data_dir: &Path, _: &LifecycleGuard<'_>) -> Result<(Self, bool), Error> {
        let path = data_dir.join("postgres.users");
        let file = open(&path)?;
        let is_only_user = file.try_lock().is_ok();
        let _ = file.unlock();
        file.lock_shared().map_err(Error::io("lock", &path))?;
        Ok((Self(file), is_only_user))
    }

    /// Returns whether no other process holds the lock.
    pub fn release(self, _: &LifecycleGuard<'_>) -> bool {
        let _ = self.0.unlock();
        self.0.try_lock().is_ok()
    }
}

/// Closing the file is not enough: a process that another thread is starting has a copy of it until it runs its program.
impl Drop for UsersLock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    opened.map_err(Error::io("write", path))
}
