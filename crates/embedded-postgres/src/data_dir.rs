//! The data folder: where its files are, and where the cluster is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::error::Error;
use crate::files::{create_dir, path_hash};
use crate::options::Options;
use crate::server_user::ServerUser;
use crate::version;

#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// `<data folder>/postgres`, or the target of the link of that name.
    pub cluster: PathBuf,
    pub user: ServerUser,
    /// If the cluster has to be outside the data folder and is not linked yet: the folder that the server's user cannot
    /// enter.
    closed_folder: Option<PathBuf>,
}

impl DataDir {
    /// Creates the folder if it is missing, and returns its absolute path.
    pub fn create(path: &Path) -> Result<PathBuf, Error> {
        create_dir(path, 0o700)?;
        fs::canonicalize(path).map_err(Error::io("inspect", path))
    }

    /// Decides where the cluster is and which user runs the server.
    pub fn resolve(path: PathBuf, options: &Options) -> Result<Self, Error> {
        let entry = path.join("postgres");
        let is_link = fs::symlink_metadata(&entry).is_ok_and(|found| found.is_symlink());
        let cluster = if is_link {
            fs::canonicalize(&entry).map_err(|_| Error::BrokenLink(entry.clone()))?
        } else {
            entry
        };
        let user = ServerUser::for_cluster(&cluster)?;
        let data_dir = Self {
            path,
            cluster,
            user,
            closed_folder: None,
        };
        match data_dir.closed_folder()? {
            None => Ok(data_dir),
            // A new cluster elsewhere would look as if the data were lost.
            Some(folder) if version::of_cluster(&data_dir.cluster)?.is_some() => {
                Err(data_dir.user.cannot_enter(folder))
            }
            Some(folder) => data_dir.move_cluster(folder, &options.root_cluster_dir),
        }
    }

    /// The folder on the path to the cluster that the server's user cannot enter.
    fn closed_folder(&self) -> Result<Option<PathBuf>, Error> {
        if !self.user.is_switched {
            return Ok(None);
        }
        let parent = self.cluster.parent().unwrap_or(&self.path);
        if parent == self.path {
            self.user.closed_folder_after_opening(parent)
        } else {
            self.user.closed_folder(parent)
        }
    }

    /// Chooses a cluster directory in `dir`, which the server's user must be able to enter.
    fn move_cluster(self, closed_folder: PathBuf, dir: &Path) -> Result<Self, Error> {
        create_dir(dir, 0o711)?;
        let dir = fs::canonicalize(dir).map_err(Error::io("inspect", dir))?;
        if let Some(folder) = self.user.closed_folder_after_opening(&dir)? {
            return Err(self.user.cannot_enter(folder));
        }
        let cluster = dir.join(format!("postgres-{}", path_hash(&self.path)));
        Ok(Self {
            user: ServerUser::for_cluster(&cluster)?,
            cluster,
            closed_folder: Some(closed_folder),
            ..self
        })
    }

    /// Links the data folder to a cluster outside it. To be called when the cluster exists: the link is how a later start
    /// finds the cluster, even if the data folder has been moved.
    pub fn link_cluster(&self) -> Result<(), Error> {
        let Some(closed_folder) = &self.closed_folder else {
            return Ok(());
        };
        let link = self.path.join("postgres");
        // An empty directory is replaced; anything else makes `symlink` fail.
        let _ = fs::remove_dir(&link);
        symlink(&self.cluster, &link).map_err(Error::io("create the link", &link))?;
        tracing::warn!(
            cluster = %self.cluster.display(),
            closed_folder = %closed_folder.display(),
            user = self.user.name,
            "the PostgreSQL cluster is outside the data folder, which the server's user cannot enter"
        );
        Ok(())
    }

    /// The output of the server and of the programs that prepare the cluster.
    pub fn log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    /// See [`crate::lock`].
    pub fn lock_files(&self) -> [PathBuf; 2] {
        ["postgres.lock", "postgres.users"].map(|name| self.path.join(name))
    }

    pub fn password_file(&self) -> PathBuf {
        self.path.join("postgres-password")
    }

    /// Whether `uid` is this process's user or the server's user.
    pub fn is_trusted(&self, uid: u32) -> bool {
        [geteuid().as_raw(), self.user.uid].contains(&uid)
    }
}
