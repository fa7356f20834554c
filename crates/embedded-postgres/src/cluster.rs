//! Creates the cluster, and sets its password.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use secrecy::SecretString;

use crate::command::run;
use crate::data_dir::DataDir;
use crate::error::Error;
use crate::files::{remove, sync, sync_parent, with_suffix};
use crate::options::Options;
use crate::password::NewPassword;
use crate::programs::Programs;
use crate::random::random_hex;
use crate::settings;

/// The only line of `pg_hba.conf`.
const ACCESS: &str = "local all all scram-sha-256";

/// Creates the cluster with its role, database and password.
///
/// It is created under a temporary name and renamed when complete, so that an interrupted creation never leaves a partial
/// cluster. The next call removes the remains.
pub(crate) fn create(data_dir: &DataDir, programs: &Programs, options: &Options) -> Result<SecretString, Error> {
    let prefix = with_suffix(&data_dir.cluster, ".new-");
    remove_abandoned(&prefix);
    // The random suffix keeps this directory apart from that of a previous `initdb`, which may still be running although
    // the process that started it was killed.
    let temporary = with_suffix(&prefix, &random_hex::<8>()?);
    data_dir.user.create_private_dir(&temporary)?;
    let filled = fill(data_dir, programs, options, &temporary);
    if filled.is_err() {
        // The first error is returned, not one of this cleaning up.
        let _ = remove(&temporary);
    }
    let password = filled?;
    fs::rename(&temporary, &data_dir.cluster).map_err(Error::io("move the new cluster to", &data_dir.cluster))?;
    sync_parent(&data_dir.cluster)?;
    Ok(password)
}

fn fill(data_dir: &DataDir, programs: &Programs, options: &Options, dir: &Path) -> Result<SecretString, Error> {
    initdb(data_dir, programs, options, dir)?;
    // The server writes the file as its own user: if root wrote it, a symbolic link in the directory could redirect the
    // write to any file. The command uses shell builtins only, because the path may have no `cat`.
    let access = format!("COPY (SELECT '{ACCESS}') TO PROGRAM 'read -r line; echo \"$line\" >pg_hba.conf'");
    let statements = format!("CREATE DATABASE \"{}\"\n{access}\n", options.name);
    let password = set_password(data_dir, programs, options, dir, &statements)?;
    // `initdb` and the final checkpoint have synced everything else.
    sync(&dir.join("pg_hba.conf"))?;
    sync(dir)?;
    Ok(password)
}

fn initdb(data_dir: &DataDir, programs: &Programs, options: &Options, dir: &Path) -> Result<(), Error> {
    // Some systems lack C.UTF-8. The encoding is UTF-8 with either locale.
    let mut locales = ["C.UTF-8", "C"].into_iter().peekable();
    while let Some(locale) = locales.next() {
        let mut command = data_dir.user.command(&programs.initdb);
        command.args(["--username", &options.name]);
        command.args(["--encoding=UTF8", "--data-checksums", "--auth=reject"]);
        command.args(["--locale", locale]);
        command.args((!options.is_durable()).then_some("--no-sync"));
        command.arg("-D").arg(dir);
        match run(data_dir, &mut command, "", "create the cluster") {
            Err(Error::Failed { reason, .. }) if reason.contains("locale") && locales.peek().is_some() => {}
            result => return result,
        }
    }
    Ok(())
}

/// Gives the role a new password and runs `statements`, one per line. The server must not be running on `dir`.
pub(crate) fn set_password(
    data_dir: &DataDir,
    programs: &Programs,
    options: &Options,
    dir: &Path,
    statements: &str,
) -> Result<SecretString, Error> {
    let password = NewPassword::generate(data_dir.password_file())?;
    let mut command = data_dir.user.command(&programs.postgres);
    command.arg("--single").arg("-D").arg(dir);
    command.args(settings::arguments(options));
    command.args(["-c", "exit_on_error=on", "postgres"]);
    let input = format!(
        "ALTER ROLE \"{}\" PASSWORD '{}'\n{statements}",
        options.name,
        password.expose()
    );
    run(data_dir, &mut command, &input, "set the password")?;
    password.publish()
}

/// Removes the directories that begin with `prefix`. What cannot be removed now is tried again the next time.
fn remove_abandoned(prefix: &Path) {
    let siblings = prefix.parent().and_then(|parent| fs::read_dir(parent).ok());
    for entry in siblings.into_iter().flatten().flatten() {
        let path = entry.path();
        if path.as_os_str().as_bytes().starts_with(prefix.as_os_str().as_bytes()) {
            let _ = remove(&path);
        }
    }
}
