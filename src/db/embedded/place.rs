//! Where the cluster lies, and as whom its server runs.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, lchown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Uid, User, geteuid};

use super::error::EmbeddedError;

/// Where root keeps clusters whose data folder is closed to the server's account.
const ROOTS_CLUSTERS: &str = "/var/lib/keyward";

/// The longest path of a socket that every system takes: `sun_path` has 104 bytes on macOS and 108 on Linux.
const LONGEST_SOCKET: usize = 103;

/// The port is only part of the socket's name: nothing listens on TCP.
pub(super) const PORT: u16 = 5432;

/// As whom root runs the server, which refuses to be root.
#[derive(Debug)]
pub(super) struct Account {
    name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// The owner of a cluster that is there, so that it stays readable when users come and go; `postgres` or `nobody`
    /// for a new one.
    fn for_cluster(cluster: &Path) -> Result<Self, EmbeddedError> {
        if let Ok(found) = fs::metadata(cluster)
            && found.uid() != 0
        {
            let known = User::from_uid(Uid::from_raw(found.uid())).ok().flatten();
            return Ok(Self {
                name: known.map_or_else(|| found.uid().to_string(), |user| user.name),
                uid: found.uid(),
                gid: found.gid(),
            });
        }
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Self {
                name: user.name,
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
            })
            .ok_or(EmbeddedError::NoAccount)
    }

    /// Whether the mode lets the account through; it runs without supplementary groups.
    fn may_enter(&self, folder: &Metadata) -> bool {
        let needed = if folder.uid() == self.uid {
            0o100
        } else if folder.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        folder.mode() & needed != 0
    }

    /// The outermost folder on the way to `folder`, itself included, that is closed to the account.
    fn closed_folder(&self, folder: &Path) -> Result<Option<PathBuf>, EmbeddedError> {
        let mut closed = None;
        for step in folder.ancestors() {
            let found = fs::metadata(step).map_err(EmbeddedError::io("look at", step))?;
            if !self.may_enter(&found) {
                closed = Some(step.to_owned());
            }
        }
        Ok(closed)
    }

    /// Makes the way to `folder` free if only `folder` itself, which is ours, is closed: entering is not listing, and
    /// each secret in it is closed on its own. Returns the folder that stays closed.
    fn closed_after_opening(&self, folder: &Path) -> Result<Option<PathBuf>, EmbeddedError> {
        let closed = self.closed_folder(folder)?;
        let found = fs::metadata(folder).map_err(EmbeddedError::io("look at", folder))?;
        if closed.as_deref() != Some(folder) || found.uid() != geteuid().as_raw() {
            return Ok(closed);
        }
        let mode = Permissions::from_mode((found.mode() & 0o7777) | 0o011);
        fs::set_permissions(folder, mode).map_err(EmbeddedError::io("open to the server's user", folder))?;
        Ok(None)
    }

    fn cannot_enter(&self, folder: PathBuf) -> EmbeddedError {
        EmbeddedError::Unreachable {
            account: self.name.clone(),
            folder,
        }
    }
}

/// Where everything of one private PostgreSQL is.
#[derive(Debug)]
pub(super) struct Place {
    data_dir: PathBuf,
    /// `<data folder>/postgres`, or what the link of that name leads to.
    pub cluster: PathBuf,
    /// What root puts on itself before it runs a server program; nobody else needs it.
    account: Option<Account>,
    /// Why the cluster is not in the data folder, until the link that says so is made.
    unlinked_because: Option<PathBuf>,
}

impl Place {
    /// Makes the data folder if need be, and decides.
    pub fn settle(data_dir: &Path) -> Result<Self, EmbeddedError> {
        let here = data_dir.join("postgres");
        let is_link = fs::symlink_metadata(&here).is_ok_and(|found| found.is_symlink());
        let cluster = if is_link {
            fs::canonicalize(&here).map_err(|_| EmbeddedError::LostCluster(here.clone()))?
        } else {
            here
        };
        let mut place = Self {
            data_dir: data_dir.to_owned(),
            cluster,
            account: None,
            unlinked_because: None,
        };
        if !geteuid().is_root() {
            return Ok(place);
        }
        let mut account = Account::for_cluster(&place.cluster)?;
        let parent = place.cluster.parent().unwrap_or(data_dir);
        let closed = if parent == data_dir {
            account.closed_after_opening(parent)?
        } else {
            account.closed_folder(parent)?
        };
        if let Some(folder) = closed {
            // Beginning anew elsewhere would look as if the data were lost.
            if super::cluster::version(&place.cluster)?.is_some() {
                return Err(account.cannot_enter(folder));
            }
            place.cluster = Self::out_of_the_way(data_dir, &account)?;
            account = Account::for_cluster(&place.cluster)?;
            place.unlinked_because = Some(folder);
        }
        place.account = Some(account);
        Ok(place)
    }

    /// The cluster of a data folder that the account cannot reach.
    fn out_of_the_way(data_dir: &Path, account: &Account) -> Result<PathBuf, EmbeddedError> {
        let parent = Path::new(ROOTS_CLUSTERS);
        create_dir(parent, 0o711)?;
        let parent = fs::canonicalize(parent).map_err(EmbeddedError::io("look at", parent))?;
        if let Some(folder) = account.closed_after_opening(&parent)? {
            return Err(account.cannot_enter(folder));
        }
        Ok(parent.join(format!("postgres-{:016x}", fingerprint(data_dir))))
    }

    /// Once the cluster is there: leaves a link in the data folder to one that is elsewhere, so that it is found by
    /// people, and again when the data folder moves.
    pub fn link(&self) -> Result<(), EmbeddedError> {
        let Some(closed) = &self.unlinked_because else {
            return Ok(());
        };
        let link = self.data_dir.join("postgres");
        // An empty directory that somebody prepared; anything else makes the next line fail.
        let _ = fs::remove_dir(&link);
        symlink(&self.cluster, &link).map_err(EmbeddedError::io("make the link", &link))?;
        tracing::warn!(
            cluster = %self.cluster.display(),
            closed = %closed.display(),
            user = self.account.as_ref().map(|account| &account.name),
            "the database is not in the data folder: the user as whom PostgreSQL runs cannot enter it"
        );
        Ok(())
    }

    /// A file of ours beside the cluster.
    pub fn file(&self, name: &str) -> PathBuf {
        self.data_dir.join(name)
    }

    /// Where the server and its preparations write what they have to say.
    pub fn log(&self) -> PathBuf {
        self.file("postgres.log")
    }

    /// A command as the server's account, knowing nothing of our environment: neither our secrets nor a stray `PGPORT`
    /// reach the server. It starts in `/`, which everybody may enter.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C")
            .current_dir("/");
        if let Some(account) = &self.account {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }

    /// Makes a directory that is the server's alone.
    pub fn create_private_dir(&self, path: &Path) -> Result<(), EmbeddedError> {
        DirBuilder::new()
            .mode(0o700)
            .create(path)
            .map_err(EmbeddedError::io("create", path))?;
        self.hand_over(path)
    }

    /// Where the socket is: the cluster itself, unless that path is too long for one, or a list of paths to libpq.
    pub fn socket_dir(&self) -> Result<PathBuf, EmbeddedError> {
        let socket = socket_in(&self.cluster, PORT);
        if socket.as_os_str().len() <= LONGEST_SOCKET && !socket.as_os_str().as_bytes().contains(&b',') {
            return Ok(self.cluster.clone());
        }
        let dir = PathBuf::from(format!("/tmp/keyward-{:016x}", fingerprint(&self.cluster)));
        match DirBuilder::new().mode(0o700).create(&dir) {
            Err(refused) if refused.kind() != io::ErrorKind::AlreadyExists => {
                return Err(EmbeddedError::io("create", &dir)(refused));
            }
            _ => {}
        }
        // Everybody can write to /tmp: what is there may be a trap.
        let found = fs::symlink_metadata(&dir).map_err(EmbeddedError::io("look at", &dir))?;
        let ours = geteuid().as_raw();
        let servers = self.account.as_ref().map_or(ours, |account| account.uid);
        if !found.is_dir() || found.mode() & 0o077 != 0 || ![ours, servers].contains(&found.uid()) {
            return Err(EmbeddedError::SocketDirTaken(dir));
        }
        self.hand_over(&dir)?;
        Ok(dir)
    }

    /// Removes a directory that [`Place::socket_dir`] made outside of the cluster.
    pub fn remove_socket_dir(&self, dir: &Path) {
        if dir != self.cluster {
            // It only litters; and it is not removed if there is more in it.
            let _ = fs::remove_dir(dir);
        }
    }

    fn hand_over(&self, path: &Path) -> Result<(), EmbeddedError> {
        let Some(account) = &self.account else {
            return Ok(());
        };
        lchown(path, Some(account.uid), Some(account.gid)).map_err(EmbeddedError::io("hand to the server's user", path))
    }
}

/// Makes `dir` and what is missing above it; only `dir` gets the mode.
pub(super) fn create_dir(dir: &Path, mode: u32) -> Result<(), EmbeddedError> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).map_err(EmbeddedError::io("create", parent))?;
    }
    match DirBuilder::new().mode(mode).create(dir) {
        Err(refused) if refused.kind() != io::ErrorKind::AlreadyExists || !dir.is_dir() => {
            Err(EmbeddedError::io("create", dir)(refused))
        }
        _ => Ok(()),
    }
}

/// The socket that PostgreSQL makes in `dir`.
pub(super) fn socket_in(dir: &Path, port: u16) -> PathBuf {
    dir.join(format!(".s.PGSQL.{port}"))
}

/// FNV-1a: only to name directories, but the same in every release.
fn fingerprint(path: &Path) -> u64 {
    path.as_os_str()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
}
