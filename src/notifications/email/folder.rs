//! Without a mail server: every mail becomes a file.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::{DirBuilder, OpenOptions};
use tokio::io::AsyncWriteExt as _;

use super::letter::Letter;

/// A folder of `.eml` files (RFC 5322), which only the user of the service may read: they hold links.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder `mail` under `data_dir`; made when it is not there.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};

        // The data folder itself is not closed to others: the private PostgreSQL must get to its part of it.
        std::fs::create_dir_all(data_dir)?;
        let path = data_dir.canonicalize()?.join("mail");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))?;
        Ok(Self { path })
    }

    /// Where the files are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `letter`, whole or not at all. Written again, it takes its own place.
    pub async fn write(&self, letter: &Letter) -> io::Result<()> {
        let name = format!("{}-{}.eml", letter.created_at.timestamp_millis(), letter.id);
        let unfinished = self.path.join(format!(".{name}.{}", std::process::id()));
        // Somebody may have tidied up.
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path).await?;
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .await?;
        file.write_all(&letter.bytes).await?;
        // Once it is marked as sent, it must be there, whatever happens to the machine.
        file.sync_all().await?;
        tokio::fs::rename(&unfinished, self.path.join(&name)).await
    }
}
