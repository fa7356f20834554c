//! The server programs: where they may be, and which are of the right version.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::iter;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::EmbeddedError;
use super::place::Place;

/// Where packages put one folder for each version: the folder above, and how the names begin.
const PACKAGES: &[(&str, &str)] = &[
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql"),
    ("/usr/local/opt", "postgresql"),
];

/// The programs of one installation.
#[derive(Debug)]
pub(super) struct Programs {
    pub initdb: PathBuf,
    pub postgres: PathBuf,
}

impl Programs {
    /// The first installation that can be run and, for a cluster that is there, is of its `version`.
    pub fn find(place: &Place, search_path: Option<&OsStr>, version: Option<&str>) -> Result<Self, EmbeddedError> {
        Self::choose(directories(search_path, PACKAGES), place, version)
    }

    fn choose(
        directories: impl Iterator<Item = PathBuf>,
        place: &Place,
        version: Option<&str>,
    ) -> Result<Self, EmbeddedError> {
        let run = |program: &Path| output_of(place.command(program).arg("--version"));
        let mut installed = Vec::new();
        for dir in directories {
            let programs = Self {
                initdb: dir.join("initdb"),
                postgres: dir.join("postgres"),
            };
            if !programs.initdb.is_file() || !programs.postgres.is_file() {
                continue;
            }
            // One that does not answer is skipped: it may be closed to the account of the server.
            let Some(major) = run(&programs.postgres).and_then(|text| major_version(&String::from_utf8_lossy(&text)))
            else {
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
            Some(version) if !installed.is_empty() => Err(EmbeddedError::OtherVersion {
                cluster: place.cluster.clone(),
                made_by: version.to_owned(),
                installed: installed.join(", "),
            }),
            _ => Err(EmbeddedError::NoPrograms),
        }
    }
}

/// Every directory to look in, the preferred first; later ones cost nothing when an earlier one will do.
fn directories(search_path: Option<&OsStr>, packages: &[(&str, &str)]) -> impl Iterator<Item = PathBuf> {
    // A relative entry would mean another directory to every program.
    let path: Vec<PathBuf> = search_path
        .map(|path| std::env::split_paths(path).filter(|dir| dir.is_absolute()).collect())
        .unwrap_or_default();
    let asked = path.clone();
    path.into_iter()
        .chain(iter::once_with(move || pg_config_bindir(&asked)).flatten())
        .chain(
            packages
                .iter()
                .flat_map(|(above, prefix)| versions_in(Path::new(above), prefix)),
        )
}

/// What the first `pg_config` on the path says.
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

/// `<above>/<prefix>*/bin`, the highest version first.
fn versions_in(above: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(Vec<u32>, PathBuf)> = fs::read_dir(above)
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

/// What the command prints, if it succeeds.
fn output_of(command: &mut Command) -> Option<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output.status.success().then_some(output.stdout)
}

/// As in `PG_VERSION`: `15` of "postgres (PostgreSQL) 15.18 (Debian …)", `17` of "17rc1", `9.6` of "9.6.24".
fn major_version(text: &str) -> Option<String> {
    let number = text.split_once("(PostgreSQL)")?.1.split_whitespace().next()?;
    let digits = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>();
    let mut parts = number.split('.').map(digits);
    let first = parts.next().filter(|first| !first.is_empty())?;
    // Until 9.6 two numbers made a major version.
    match parts.next() {
        Some(second) if first.len() == 1 => Some(format!("{first}.{second}")),
        _ => Some(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_as_pg_version_spells_it() {
        let read = |number| major_version(&format!("postgres (PostgreSQL) {number} (Debian 1)\n"));
        assert_eq!(read("15.18").as_deref(), Some("15"));
        assert_eq!(read("19devel").as_deref(), Some("19"));
        assert_eq!(read("17rc1").as_deref(), Some("17"));
        assert_eq!(read("9.6.24").as_deref(), Some("9.6"));
        assert_eq!(major_version("something else"), None);
    }

    #[test]
    fn the_path_comes_first_and_then_the_packages_from_the_highest_version_down() {
        let packages = tempfile::tempdir().unwrap();
        for name in ["9.6", "15", "16", "unrelated"] {
            fs::create_dir(packages.path().join(name)).unwrap();
        }
        let above = packages.path().to_str().unwrap();
        let found: Vec<_> = directories(Some(OsStr::new("relative:/first")), &[(above, "")]).collect();
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
    fn without_programs_one_line_says_how_to_get_them() {
        let data_dir = tempfile::tempdir().unwrap();
        let place = Place::settle(data_dir.path()).unwrap();
        let empty = [PathBuf::from("/nowhere"), data_dir.path().to_owned()];
        let line = Programs::choose(empty.into_iter(), &place, None)
            .unwrap_err()
            .to_string();
        assert!(
            line.contains("apt-get install postgresql") && line.contains("DATABASE_URL"),
            "{line}"
        );
        assert!(!line.contains('\n'));
    }

    #[test]
    fn homebrew_folders_are_sorted_by_the_version_in_their_names() {
        let opt = tempfile::tempdir().unwrap();
        for name in ["postgresql", "postgresql@9.6", "postgresql@17", "postgis"] {
            fs::create_dir(opt.path().join(name)).unwrap();
        }
        let bin = |name: &str| opt.path().join(name).join("bin");
        assert_eq!(
            versions_in(opt.path(), "postgresql"),
            [bin("postgresql@17"), bin("postgresql@9.6"), bin("postgresql")]
        );
    }
}
