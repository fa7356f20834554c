//! The Unix socket of the server and its directory.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::data_dir::DataDir;
use crate::error::Error;
use crate::files::path_hash;

/// Part of the name of the socket; the server does not listen on TCP.
pub(crate) const PORT: u16 = 5432;

/// The longest path of a socket that all systems accept: `sun_path` has 104 bytes on macOS and 108 on Linux, including
/// the final NUL.
const MAX_SOCKET_PATH: usize = 103;

/// The path of the socket that PostgreSQL creates in `dir`.
pub(crate) fn path_in(dir: &Path, port: u16) -> PathBuf {
    dir.join(format!(".s.PGSQL.{port}"))
}

/// Returns the directory for the socket: the cluster itself, or a directory in `/tmp` if the path of the cluster is too
/// long for a socket or contains a comma, which libpq takes for a separator of several paths.
pub(crate) fn create_dir(data_dir: &DataDir, name: &str) -> Result<PathBuf, Error> {
    let socket = path_in(&data_dir.cluster, PORT);
    if socket.as_os_str().len() <= MAX_SOCKET_PATH && !socket.as_os_str().as_bytes().contains(&b',') {
        return Ok(data_dir.cluster.clone());
    }
    let dir = PathBuf::from(format!("/tmp/{name}-{}", path_hash(&data_dir.cluster)));
    match DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(Error::io("create", &dir)(error)),
        _ => {}
    }
    // All users can write to /tmp, so another user may have created the directory, or a link in its place.
    let found = fs::symlink_metadata(&dir).map_err(Error::io("inspect", &dir))?;
    if !found.is_dir() || found.mode() & 0o077 != 0 || !data_dir.is_trusted(found.uid()) {
        return Err(Error::UnsafeSocketDir(dir));
    }
    data_dir.user.make_owner_of(&dir)?;
    Ok(dir)
}

/// Removes a directory that [`create_dir`] created in `/tmp`. A directory that remains does no harm.
pub(crate) fn remove_dir(data_dir: &DataDir, dir: &Path) {
    if dir != data_dir.cluster {
        let _ = fs::remove_dir(dir);
    }
}
