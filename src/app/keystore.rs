//! The signing keys of access tokens, and the server secret. They are read from the files in the settings; without these,
//! they are generated once under the data folder.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

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
        source: io::Error,
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
                .map(|path| read_setting(SIGNING_KEYS, path))
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
            Some(path) => read_setting(SECRET_FILE, path)?,
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
        if !looks_random(&bytes) {
            return Err(invalid(
                SECRET_FILE,
                "the bytes are not random; create the file with: head -c 32 /dev/urandom",
            ));
        }
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

/// 32 random bytes have about 30 different values, and fewer than 8 with a probability of less than 10⁻³⁵.
fn looks_random(bytes: &[u8]) -> bool {
    bytes.iter().collect::<BTreeSet<_>>().len() >= 8
}

/// Reads the file of a setting. If it is missing, the error does not name it: the value may be a secret instead of a path.
fn read_setting(setting: &'static str, path: &Path) -> Result<Vec<u8>, KeystoreError> {
    if !path.exists() {
        return Err(invalid(setting, "there is no file with this path"));
    }
    read(setting, path)
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, KeystoreError> {
    let file_error = |source| KeystoreError::File {
        setting,
        path: path.to_owned(),
        source,
    };
    // Only a warning: a mounted secret has the mode that its volume gives it.
    let mode = fs::metadata(path).map_err(file_error)?.mode();
    if mode & 0o006 != 0 {
        let access = if mode & 0o002 == 0 { "read" } else { "change" };
        tracing::warn!(file = %path.display(), "{setting}: every user of this machine can {access} the file; set its mode to 0600");
    }
    fs::read(path).map_err(file_error)
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
    let is_new = publish(&draft, path, |draft, path| fs::hard_link(draft, path));
    fs::remove_file(&draft).map_err(file_error)?;
    if is_new.map_err(file_error)? {
        tracing::info!(file = %path.display(), "generated a file; all instances that use the same database need it ({setting})");
    }
    read(setting, path)
}

/// Gives the draft its name, unless another process was faster: returns whether it did. A file system without hard links, such
/// as SMB, gets a copy: one process creates the file, and the content is so short that it is there a moment later.
fn publish(draft: &Path, path: &Path, link: impl FnOnce(&Path, &Path) -> io::Result<()>) -> io::Result<bool> {
    let created = match link(draft, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => create_copy(draft, path),
        linked => linked,
    };
    match created {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => wait_for_content(path).map(|()| false),
        Err(error) => Err(error),
    }
}

fn create_copy(draft: &Path, path: &Path) -> io::Result<()> {
    let content = fs::read(draft)?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&content)?;
    file.sync_all()
}

fn wait_for_content(path: &Path) -> io::Result<()> {
    let started_at = Instant::now();
    while fs::metadata(path)?.len() == 0 && started_at.elapsed() < Duration::from_secs(2) {
        std::thread::yield_now();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_links(_: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[test]
    fn one_of_several_processes_publishes_its_draft_with_and_without_hard_links() {
        let with_links = |draft: &Path, path: &Path| fs::hard_link(draft, path);
        for link in [with_links, without_links] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("secret");
            let published: Vec<bool> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8)
                    .map(|number| {
                        let (draft, path) = (folder.path().join(format!("secret.{number}")), &path);
                        fs::write(&draft, [number; 32]).unwrap();
                        scope.spawn(move || {
                            let is_new = publish(&draft, path, link).unwrap();
                            assert!(!is_new || fs::read(path).unwrap() == [number; 32]);
                            assert_eq!(fs::read(path).unwrap().len(), 32);
                            is_new
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(published.iter().filter(|is_new| **is_new).count(), 1);
        }
    }

    #[test]
    fn bytes_that_are_not_random_are_recognised() {
        assert!(!looks_random(&[0; 32]));
        assert!(!looks_random(b"abababababababababababababababab"));
        assert!(looks_random(b"0123456789abcdef0123456789abcdef"));
        assert!(looks_random(&random::<32>().unwrap()));
    }
}
