//! The operating system user that runs the server programs.
//!
//! PostgreSQL refuses to run as root, so root switches to another user for each server program. Any other user runs the
//! programs itself.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, lchown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Uid, User, getegid, geteuid};

use crate::error::Error;

#[derive(Debug)]
pub(crate) struct ServerUser {
    /// The user name, or the user ID in digits.
    pub name: String,
    pub uid: u32,
    gid: u32,
    /// Whether this process is root and has to switch to this user.
    pub is_switched: bool,
}

impl ServerUser {
    /// The current user, unless it is root. For root it is the owner of an existing cluster, so that the cluster stays
    /// readable when users are added or removed, and `postgres` or `nobody` for a new one.
    pub fn for_cluster(cluster: &Path) -> Result<Self, Error> {
        let current = geteuid();
        if !current.is_root() {
            return Ok(Self {
                name: current.to_string(),
                uid: current.as_raw(),
                gid: getegid().as_raw(),
                is_switched: false,
            });
        }
        if let Ok(found) = fs::metadata(cluster)
            && found.uid() != 0
        {
            let owner = User::from_uid(Uid::from_raw(found.uid())).ok().flatten();
            return Ok(Self {
                name: owner.map_or_else(|| found.uid().to_string(), |user| user.name),
                uid: found.uid(),
                gid: found.gid(),
                is_switched: true,
            });
        }
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Self {
                name: user.name,
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
                is_switched: true,
            })
            .ok_or(Error::NoServerUser)
    }

    /// A command that runs as this user, in `/`, which every user can enter. It does not inherit the environment, so that
    /// the server gets neither the application's secrets nor variables like `PGPORT`.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C")
            .current_dir("/");
        if self.is_switched {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Creates a directory that only this user can enter.
    pub fn create_private_dir(&self, path: &Path) -> Result<(), Error> {
        DirBuilder::new()
            .mode(0o700)
            .create(path)
            .map_err(Error::io("create", path))?;
        self.make_owner_of(path)
    }

    pub fn make_owner_of(&self, path: &Path) -> Result<(), Error> {
        if !self.is_switched {
            return Ok(());
        }
        lchown(path, Some(self.uid), Some(self.gid)).map_err(Error::io("change the owner of", path))
    }

    /// The outermost folder on the path to `folder`, `folder` included, that this user cannot enter.
    pub fn closed_folder(&self, folder: &Path) -> Result<Option<PathBuf>, Error> {
        let mut closed = None;
        for ancestor in folder.ancestors() {
            let found = fs::metadata(ancestor).map_err(Error::io("inspect", ancestor))?;
            if !self.can_enter(&found) {
                closed = Some(ancestor.to_owned());
            }
        }
        Ok(closed)
    }

    /// Like [`Self::closed_folder`], but if `folder` itself is the only closed one and this process owns it, other users
    /// get the permission to enter it. They still cannot list it, and each secret file in it has its own mode.
    pub fn closed_folder_after_opening(&self, folder: &Path) -> Result<Option<PathBuf>, Error> {
        let closed = self.closed_folder(folder)?;
        let found = fs::metadata(folder).map_err(Error::io("inspect", folder))?;
        if closed.as_deref() != Some(folder) || found.uid() != geteuid().as_raw() {
            return Ok(closed);
        }
        let mode = Permissions::from_mode((found.mode() & 0o7777) | 0o011);
        fs::set_permissions(folder, mode).map_err(Error::io("change the mode of", folder))?;
        Ok(None)
    }

    /// Whether the mode of the folder lets this user in. Supplementary groups do not count: the commands have none.
    fn can_enter(&self, folder: &Metadata) -> bool {
        let needed = if folder.uid() == self.uid {
            0o100
        } else if folder.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        folder.mode() & needed != 0
    }

    pub fn cannot_enter(&self, folder: PathBuf) -> Error {
        Error::ClosedFolder {
            user: self.name.clone(),
            folder,
        }
    }
}
