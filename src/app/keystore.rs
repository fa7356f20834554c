//! The secrets a service holds: its signing keys and the secret under which tokens are derived. Unless files are named in
//! the configuration, they are generated once, under the data folder.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::auth::{AccessTokens, generate_signing_key};
use crate::config::Config;
use crate::secret::{ServerSecret, random};

/// What tokens are made with.
pub struct Keystore {
    /// Issues and checks access tokens.
    pub tokens: AccessTokens,
    /// What everything else is derived under.
    pub secret: ServerSecret,
}

/// Why the secrets cannot be had, in one line that names the setting or the file.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// A file cannot be read or written.
    #[error("{setting}: {}: {source}", path.display())]
    File {
        /// What names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{setting}: {reason}")]
    Content {
        /// What names the file.
        setting: &'static str,
        /// What is wrong.
        reason: String,
    },
}

const SIGNING_KEYS: &str = "KEYWARD_SIGNING_KEYS";
const SECRET_FILE: &str = "KEYWARD_SECRET_FILE";

impl Keystore {
    /// Reads the configured files, or those under the data folder, which are made if they are missing.
    ///
    /// # Errors
    /// A file cannot be read, written or used.
    pub fn load(config: &Config, data_dir: &Path) -> Result<Self, KeystoreError> {
        let pems = if config.signing_keys.is_empty() {
            vec![kept(SIGNING_KEYS, &data_dir.join("signing-key.pem"), || {
                generate_signing_key()
                    .map(String::into_bytes)
                    .map_err(|error| error.to_string())
            })?]
        } else {
            config
                .signing_keys
                .iter()
                .map(|path| read(SIGNING_KEYS, path))
                .collect::<Result<_, _>>()?
        };
        let pems = pems
            .into_iter()
            .map(|bytes| String::from_utf8(bytes).map_err(|_| wrong(SIGNING_KEYS, "not a PEM file")))
            .collect::<Result<Vec<_>, _>>()?;
        let url = config.public_url();
        let tokens = AccessTokens::new(&pems, url.as_str(), &config.audience, config.access_token_seconds)
            .map_err(|error| wrong(SIGNING_KEYS, &error.to_string()))?;
        let bytes = match &config.secret_file {
            Some(path) => read(SECRET_FILE, path)?,
            None => kept(SECRET_FILE, &data_dir.join("secret"), || {
                let bytes = random::<{ ServerSecret::BYTES }>();
                bytes
                    .map(Vec::from)
                    .map_err(|_| "the system has no randomness to give".to_owned())
            })?,
        };
        let bytes: [u8; ServerSecret::BYTES] = bytes
            .try_into()
            .map_err(|_| wrong(SECRET_FILE, "the file must hold exactly 32 bytes"))?;
        Ok(Self {
            tokens,
            secret: ServerSecret::new(&bytes),
        })
    }
}

fn wrong(setting: &'static str, reason: &str) -> KeystoreError {
    KeystoreError::Content {
        setting,
        reason: reason.to_owned(),
    }
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, KeystoreError> {
    fs::read(path).map_err(|source| KeystoreError::File {
        setting,
        path: path.to_owned(),
        source,
    })
}

/// The content of a file of our own; made, if it is missing, in such a way that of two who make it at once both read the
/// same, and nobody reads half of it.
fn kept(
    setting: &'static str,
    path: &Path,
    make: impl FnOnce() -> Result<Vec<u8>, String>,
) -> Result<Vec<u8>, KeystoreError> {
    if path.exists() {
        return read(setting, path);
    }
    let failed = |source| KeystoreError::File {
        setting,
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
    }
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let content = make().map_err(|reason| wrong(setting, &reason))?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .map_err(failed)?;
    file.write_all(&content)
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft).map_err(failed)?;
    match linked {
        Ok(()) => {
            tracing::info!(file = %path.display(), "generated; instances that share a database must share this file ({setting})");
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    read(setting, path)
}
