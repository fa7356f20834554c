//! The signing keys of access tokens, and the server secret. They are read from the files in the settings; without these,
//! they are generated once under the data folder.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::auth::{AccessTokens, generate_signing_key};
use crate::config::Config;
use crate::secret::{ServerSecret, random};

pub struct Keystore {
    pub tokens: AccessTokens,
    pub secret: ServerSecret,
}

/// One line that names the setting and, if there is one, the file.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    #[error("{setting}: {}: {source}", path.display())]
    File {
        setting: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{setting}: {reason}")]
    Content { setting: &'static str, reason: String },
}

const SIGNING_KEYS: &str = "KEYWARD_SIGNING_KEYS";
const SECRET_FILE: &str = "KEYWARD_SECRET_FILE";

impl Keystore {
    pub fn load(config: &Config, data_dir: &Path) -> Result<Self, KeystoreError> {
        let pems = if config.signing_keys.is_empty() {
            vec![read_or_generate(
                SIGNING_KEYS,
                &data_dir.join("signing-key.pem"),
                || {
                    generate_signing_key()
                        .map(String::into_bytes)
                        .map_err(|error| error.to_string())
                },
            )?]
        } else {
            config
                .signing_keys
                .iter()
                .map(|path| read(SIGNING_KEYS, path))
                .collect::<Result<_, _>>()?
        };
        let pems = pems
            .into_iter()
            .map(|bytes| String::from_utf8(bytes).map_err(|_| invalid(SIGNING_KEYS, "not a PEM file")))
            .collect::<Result<Vec<_>, _>>()?;
        let url = config.public_url();
        let tokens = AccessTokens::new(&pems, url.as_str(), &config.audience, config.access_token_seconds)
            .map_err(|error| invalid(SIGNING_KEYS, &error.to_string()))?;
        let bytes = match &config.secret_file {
            Some(path) => read(SECRET_FILE, path)?,
            None => read_or_generate(SECRET_FILE, &data_dir.join("secret"), || {
                let bytes = random::<{ ServerSecret::BYTES }>();
                bytes
                    .map(Vec::from)
                    .map_err(|_| "the random generator of the system failed".to_owned())
            })?,
        };
        let bytes: [u8; ServerSecret::BYTES] = bytes
            .try_into()
            .map_err(|_| invalid(SECRET_FILE, "the file must contain exactly 32 bytes"))?;
        Ok(Self {
            tokens,
            secret: ServerSecret::new(&bytes),
        })
    }
}

fn invalid(setting: &'static str, reason: &str) -> KeystoreError {
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

/// Reads a file under the data folder, and generates it first if it does not exist. Two processes may do this at once: each writes
/// a draft and links it to `path`, which succeeds for one of them, and both then read that complete file.
fn read_or_generate(
    setting: &'static str,
    path: &Path,
    generate: impl FnOnce() -> Result<Vec<u8>, String>,
) -> Result<Vec<u8>, KeystoreError> {
    if path.exists() {
        return read(setting, path);
    }
    let file_error = |source| KeystoreError::File {
        setting,
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(file_error)?;
    }
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let content = generate().map_err(|reason| invalid(setting, &reason))?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .map_err(file_error)?;
    file.write_all(&content)
        .and_then(|()| file.sync_all())
        .map_err(file_error)?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft).map_err(file_error)?;
    match linked {
        Ok(()) => {
            tracing::info!(file = %path.display(), "generated a file; all instances that use the same database need it ({setting})");
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(file_error(error)),
    }
    read(setting, path)
}
