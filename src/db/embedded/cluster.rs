//! The cluster on disk: made, recognised, given its password.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use secrecy::{ExposeSecret as _, SecretString};

use super::error::EmbeddedError;
use super::place::Place;
use super::programs::Programs;
use super::server::{arguments, reason_in};

/// The bootstrap user and the database have one name.
pub(super) const NAME: &str = "keyward";

const PASSWORD_BYTES: usize = 32;

/// Who may connect, and how: `pg_hba.conf` has no other line.
const ACCESS: &str = "local all all scram-sha-256";

/// The major version that made the cluster; `None` if there is nothing yet.
pub(super) fn version(cluster: &Path) -> Result<Option<String>, EmbeddedError> {
    let file = cluster.join("PG_VERSION");
    match fs::read_to_string(&file) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(refused) if refused.kind() == io::ErrorKind::NotFound => {
            let is_free = fs::read_dir(cluster).map_or_else(
                |refused| refused.kind() == io::ErrorKind::NotFound,
                |mut entries| entries.next().is_none(),
            );
            is_free
                .then_some(None)
                .ok_or_else(|| EmbeddedError::NotACluster(cluster.to_owned()))
        }
        Err(refused) if refused.kind() == io::ErrorKind::NotADirectory => {
            Err(EmbeddedError::NotACluster(cluster.to_owned()))
        }
        Err(refused) => Err(EmbeddedError::io("read", &file)(refused)),
    }
}

/// The file that keeps the password.
pub(super) fn password_file(place: &Place) -> PathBuf {
    place.file("postgres-password")
}

/// The password, if it was kept whole.
pub(super) fn password(place: &Place) -> Option<SecretString> {
    let text = fs::read_to_string(password_file(place)).ok()?;
    let text = text.trim();
    let is_whole = text.len() == 2 * PASSWORD_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_whole.then(|| SecretString::from(text))
}

/// Makes the cluster, with its role, its database and its password. It gets its name at the very end, so that one
/// whose making was interrupted is never seen: its remains are removed, and it is made again.
pub(super) fn create(
    place: &Place,
    programs: &Programs,
    settings: &[(&str, &str)],
) -> Result<SecretString, EmbeddedError> {
    let prefix = with_suffix(&place.cluster, ".new-");
    remove_abandoned(&prefix);
    // A name of its own, because `initdb` may survive a killed program and still be at work on the one before.
    let unfinished = with_suffix(&prefix, &random_hex::<8>()?);
    place.create_private_dir(&unfinished)?;
    let made = fill(place, programs, settings, &unfinished);
    if made.is_err() {
        // The reason counts, not what could not be tidied up after it.
        let _ = remove(&unfinished);
    }
    let password = made?;
    fs::rename(&unfinished, &place.cluster).map_err(EmbeddedError::io("put the new database at", &place.cluster))?;
    sync_parent(&place.cluster)?;
    Ok(password)
}

fn fill(
    place: &Place,
    programs: &Programs,
    settings: &[(&str, &str)],
    dir: &Path,
) -> Result<SecretString, EmbeddedError> {
    initdb(place, programs, settings, dir)?;
    // The server's account does all this, for root should not write where somebody else may have put a link. Of the
    // shell only what it can do by itself is used: there may be no `cat` on the path.
    let access = format!("COPY (SELECT '{ACCESS}') TO PROGRAM 'read -r line; echo \"$line\" >pg_hba.conf'");
    let statements = format!("CREATE DATABASE {NAME}\n{access}\n");
    let password = set_password(place, programs, settings, dir, &statements)?;
    // The rest was synced by `initdb` and by the checkpoint.
    for path in [&dir.join("pg_hba.conf"), dir] {
        File::open(path)
            .and_then(|file| file.sync_all())
            .map_err(EmbeddedError::io("sync", path))?;
    }
    Ok(password)
}

fn initdb(place: &Place, programs: &Programs, settings: &[(&str, &str)], dir: &Path) -> Result<(), EmbeddedError> {
    let is_durable = !settings.contains(&("fsync", "off"));
    // Not every system has C.UTF-8; the encoding is UTF-8 with either.
    let mut locales = ["C.UTF-8", "C"].into_iter().peekable();
    while let Some(locale) = locales.next() {
        let mut command = place.command(&programs.initdb);
        command.args([
            "--username",
            NAME,
            "--encoding=UTF8",
            "--data-checksums",
            "--auth=reject",
            "--locale",
            locale,
        ]);
        command.args((!is_durable).then_some("--no-sync")).arg("-D").arg(dir);
        match run(place, &mut command, "", "make the database") {
            Err(EmbeddedError::Failed { reason, .. }) if reason.contains("locale") && locales.peek().is_some() => {}
            other => return other,
        }
    }
    Ok(())
}

/// Gives the role of a cluster that does not run a new password, and runs `statements`, one a line.
pub(super) fn set_password(
    place: &Place,
    programs: &Programs,
    settings: &[(&str, &str)],
    dir: &Path,
    statements: &str,
) -> Result<SecretString, EmbeddedError> {
    let password = SecretString::from(random_hex::<PASSWORD_BYTES>()?);
    let path = password_file(place);
    let unfinished = with_suffix(&path, ".new");
    remove(&unfinished)?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|mut file| writeln!(file, "{}", password.expose_secret()).and_then(|()| file.sync_all()))
        .map_err(EmbeddedError::io("write", &unfinished))?;
    let mut command = place.command(&programs.postgres);
    command.arg("--single").arg("-D").arg(dir).args(arguments(settings));
    command.args(["-c", "exit_on_error=on", "postgres"]);
    let input = format!(
        "ALTER ROLE {NAME} PASSWORD '{}'\n{statements}",
        password.expose_secret()
    );
    run(place, &mut command, &input, "set the password of the database")?;
    // From here on it is true.
    fs::rename(&unfinished, &path).map_err(EmbeddedError::io("write", &path))?;
    sync_parent(&path)?;
    Ok(password)
}

fn random_hex<const BYTES: usize>() -> Result<String, EmbeddedError> {
    let bytes: [u8; BYTES] = crate::secret::random().map_err(|_| EmbeddedError::NoRandomness)?;
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    Ok(bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect())
}

/// Runs a program to its end; what it said goes to the log only if it failed.
fn run(place: &Place, command: &mut Command, input: &str, task: &'static str) -> Result<(), EmbeddedError> {
    let refused = |command: &Command, source| EmbeddedError::Run {
        program: PathBuf::from(command.get_program()),
        source,
    };
    let spawned = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|source| refused(command, source))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends early closes it; its status and its words say why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let Output { status, stderr, .. } = child.wait_with_output().map_err(|source| refused(command, source))?;
    if status.success() {
        return Ok(());
    }
    let log = place.log();
    let written = OpenOptions::new().append(true).create(true).mode(0o600).open(&log);
    let _ = written.and_then(|mut file| file.write_all(&stderr));
    Err(EmbeddedError::Failed {
        task,
        reason: reason_in(&String::from_utf8_lossy(&stderr)),
        log,
    })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Removes what begins with `prefix`, as far as it can: what cannot be removed yet will be, the next time.
fn remove_abandoned(prefix: &Path) {
    let siblings = prefix.parent().and_then(|parent| fs::read_dir(parent).ok());
    for entry in siblings.into_iter().flatten().flatten() {
        if entry
            .path()
            .as_os_str()
            .as_bytes()
            .starts_with(prefix.as_os_str().as_bytes())
        {
            let _ = remove(&entry.path());
        }
    }
}

fn remove(path: &Path) -> Result<(), EmbeddedError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(absent) if absent.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(refused) => Err(refused),
    };
    removed.map_err(EmbeddedError::io("remove", path))
}

/// A rename lasts when the directory is synced.
fn sync_parent(path: &Path) -> Result<(), EmbeddedError> {
    let parent = path.parent().unwrap_or(path);
    File::open(parent)
        .and_then(|dir| dir.sync_all())
        .map_err(EmbeddedError::io("sync", parent))
}
