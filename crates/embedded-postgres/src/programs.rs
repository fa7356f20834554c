//! Finds installed server programs of the right version.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::iter;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::data_dir::DataDir;
use crate::error::Error;
use crate::version;

/// Folders in which packages create one folder per version, and the prefix of those folders.
const PACKAGES: &[(&str, &str)] = &[
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql"),
    ("/usr/local/opt", "postgresql"),
];

/// The programs of one installation.
#[derive(Debug)]
pub(crate) struct Programs {
    pub initdb: PathBuf,
    pub postgres: PathBuf,
}

impl Programs {
    /// Returns the first installation that the server's user can run. For an existing cluster it must have the cluster's
    /// major version.
    pub fn find(data_dir: &DataDir, search_path: &OsStr, version: Option<&str>) -> Result<Self, Error> {
        Self::choose(candidates(search_path, PACKAGES), data_dir, version)
    }

    fn choose(
        directories: impl Iterator<Item = PathBuf>,
        data_dir: &DataDir,
        version: Option<&str>,
    ) -> Result<Self, Error> {
        let mut installed = Vec::new();
        for dir in directories {
            let programs = Self {
                initdb: dir.join("initdb"),
                postgres: dir.join("postgres"),
            };
            if !programs.initdb.is_file() || !programs.postgres.is_file() {
                continue;
            }
            // A program that cannot be run is skipped: the server's user may have no access to it.
            let output = output_of(data_dir.user.command(&programs.postgres).arg("--version"));
            let Some(major) = output.and_then(|text| version::in_output(&String::from_utf8_lossy(&text))) else {
                continue;
            };
            if version.is_none_or(|version| version == major) {
                return Ok(programs);
            }
            if !installed.contains(&major) {
                installed.push(major);
            }
        }
        match version {
            Some(version) if !installed.is_empty() => Err(Error::VersionNotInstalled {
                cluster: data_dir.cluster.clone(),
                created_by: version.to_owned(),
                installed: installed.join(", "),
            }),
            _ => Err(Error::NoPrograms),
        }
    }
}

/// The directories to search, in order of preference: the search path, the installation that `pg_config` reports, and the
/// folders of packages. The iterator is lazy, so `pg_config` runs only if the search path was not enough.
fn candidates(search_path: &OsStr, packages: &[(&str, &str)]) -> impl Iterator<Item = PathBuf> {
    // Relative entries are ignored: the server programs run in another directory than this process.
    let path: Vec<PathBuf> = std::env::split_paths(search_path)
        .filter(|dir| dir.is_absolute())
        .collect();
    let with_pg_config = path.clone();
    path.into_iter()
        .chain(iter::once_with(move || pg_config_bindir(&with_pg_config)).flatten())
        .chain(
            packages
                .iter()
                .flat_map(|(parent, prefix)| version_folders(Path::new(parent), prefix)),
        )
}

/// The output of `pg_config --bindir`, for the first `pg_config` on the path.
fn pg_config_bindir(path: &[PathBuf]) -> Option<PathBuf> {
    let program = path
        .iter()
        .map(|dir| dir.join("pg_config"))
        .find(|file| file.is_file())?;
    let mut command = Command::new(program);
    command.arg("--bindir");
    let mut text = output_of(&mut command)?;
    text.truncate(text.trim_ascii_end().len());
    Some(PathBuf::from(OsString::from_vec(text)))
}

/// The directories `<parent>/<prefix>*/bin`, highest version first.
fn version_folders(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(Vec<u32>, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name
                .strip_prefix(prefix)?
                .trim_start_matches(|c: char| !c.is_ascii_digit());
            let numbers = version.split('.').map_while(|number| number.parse().ok()).collect();
            Some((numbers, entry.path().join("bin")))
        })
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, dir)| dir).collect()
}

/// The standard output of a command that succeeds.
fn output_of(command: &mut Command) -> Option<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output.status.success().then_some(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    #[test]
    fn the_search_path_is_preferred_to_packages_and_high_versions_to_low_ones() {
        let packages = tempfile::tempdir().unwrap();
        for name in ["9.6", "15", "16", "unrelated"] {
            fs::create_dir(packages.path().join(name)).unwrap();
        }
        let parent = packages.path().to_str().unwrap();
        let found: Vec<_> = candidates(OsStr::new("relative:/first"), &[(parent, "")]).collect();
        let bin = |name: &str| packages.path().join(name).join("bin");
        assert_eq!(
            found,
            [
                PathBuf::from("/first"),
                bin("16"),
                bin("15"),
                bin("9.6"),
                bin("unrelated")
            ]
        );
    }

    #[test]
    fn homebrew_folders_are_sorted_by_the_version_in_their_names() {
        let opt = tempfile::tempdir().unwrap();
        for name in ["postgresql", "postgresql@9.6", "postgresql@17", "postgis"] {
            fs::create_dir(opt.path().join(name)).unwrap();
        }
        let bin = |name: &str| opt.path().join(name).join("bin");
        assert_eq!(
            version_folders(opt.path(), "postgresql"),
            [bin("postgresql@17"), bin("postgresql@9.6"), bin("postgresql")]
        );
    }

    #[test]
    fn the_error_about_missing_programs_says_how_to_install_them() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = DataDir::resolve(folder.path().to_owned(), &Options::new(folder.path())).unwrap();
        let directories = [PathBuf::from("/nowhere"), folder.path().to_owned()];
        let error = Programs::choose(directories.into_iter(), &data_dir, None).unwrap_err();
        assert!(matches!(error, Error::NoPrograms));
        let line = error.to_string();
        assert!(line.contains("apt-get install postgresql"), "{line}");
        assert!(!line.contains('\n'));
    }
}
