//! Delivery without a mail server: every e-mail becomes a file.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::{DirBuilder, OpenOptions};
use tokio::io::AsyncWriteExt as _;

use super::compose::ComposedEmail;

/// A directory of `.eml` files (RFC 5322). They contain links, so only the service's own user may read them.
#[derive(Clone, Debug)]
pub struct MailDir {
    path: PathBuf,
}

impl MailDir {
    /// Opens the directory `mail` under `data_dir`, and creates it if necessary.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};

        // With default permissions: another user, under which the embedded PostgreSQL may run, must reach its own part.
        std::fs::create_dir_all(data_dir)?;
        let path = data_dir.canonicalize()?.join("mail");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))?;
        Ok(Self { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes an e-mail completely or not at all. A repeated write replaces the file.
    pub async fn write(&self, email: &ComposedEmail) -> io::Result<()> {
        let name = format!("{}-{}.eml", email.created_at.timestamp_millis(), email.id);
        let temporary = self.path.join(format!(".{name}.{}", std::process::id()));
        // The directory may have been deleted since the start.
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path).await?;
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .await?;
        file.write_all(&email.bytes).await?;
        // The row is marked as sent after this, so the file must survive a power failure.
        file.sync_all().await?;
        tokio::fs::rename(&temporary, self.path.join(&name)).await
    }
}
