//! The password of the role, and the file that keeps it.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use crate::error::Error;
use crate::files::{remove, sync_parent, with_suffix};
use crate::random::random_hex;

const PASSWORD_BYTES: usize = 32;

/// The password in the file; `None` if the file is missing or damaged.
pub(crate) fn read(file: &Path) -> Option<SecretString> {
    let text = fs::read_to_string(file).ok()?;
    let text = text.trim();
    let is_complete = text.len() == 2 * PASSWORD_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_complete.then(|| SecretString::from(text))
}

/// A new password that is on disk under a temporary name. It is written before the role gets it, so that a crash never
/// leaves a role with a password that is stored nowhere.
pub(crate) struct NewPassword {
    password: SecretString,
    temporary: PathBuf,
    file: PathBuf,
}

impl NewPassword {
    pub fn generate(file: PathBuf) -> Result<Self, Error> {
        let password = SecretString::from(random_hex::<PASSWORD_BYTES>()?);
        let temporary = with_suffix(&file, ".new");
        remove(&temporary)?;
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| writeln!(file, "{}", password.expose_secret()).and_then(|()| file.sync_all()))
            .map_err(Error::io("write", &temporary))?;
        Ok(Self {
            password,
            temporary,
            file,
        })
    }

    pub fn expose(&self) -> &str {
        self.password.expose_secret()
    }

    /// Gives the file its final name. To be called when the role has the password.
    pub fn publish(self) -> Result<SecretString, Error> {
        fs::rename(&self.temporary, &self.file).map_err(Error::io("write", &self.file))?;
        sync_parent(&self.file)?;
        Ok(self.password)
    }
}
