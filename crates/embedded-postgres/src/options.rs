//! What the application can choose.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::Error;

/// PostgreSQL cuts longer identifiers off.
const MAX_NAME_LENGTH: usize = 63;

/// Names that `initdb` creates itself or that are keywords where a role is expected.
const RESERVED_NAMES: [&str; 5] = ["none", "postgres", "public", "template0", "template1"];

/// How to create and start the server.
///
/// ```
/// use embedded_postgres::Options;
///
/// let options = Options::new("/var/lib/shop")
///     .name("shop")
///     .settings([("max_connections", "300"), ("work_mem", "16MB")]);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) data_dir: PathBuf,
    pub(crate) name: String,
    pub(crate) root_cluster_dir: PathBuf,
    pub(crate) search_path: OsString,
    pub(crate) settings: Vec<(String, String)>,
}

impl Options {
    /// Options with defaults for a server that keeps its files in `data_dir`. The folder is created if it is missing.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            name: "app".to_owned(),
            root_cluster_dir: PathBuf::from("/var/lib/embedded-postgres"),
            search_path: std::env::var_os("PATH").unwrap_or_default(),
            settings: Vec::new(),
        }
    }

    /// The name of the role and of the database; `app` by default. It must stay the same for the life of a cluster.
    ///
    /// The socket directories in `/tmp` begin with it, too (see the README).
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Where root puts a cluster if the user that runs PostgreSQL cannot enter the data folder;
    /// `/var/lib/embedded-postgres` by default. The folder is created if it is missing.
    #[must_use]
    pub fn root_cluster_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.root_cluster_dir = dir.into();
        self
    }

    /// The folders that are searched first for the server programs, in the format of `PATH`; by default the environment
    /// variable `PATH` of this process.
    #[must_use]
    pub fn search_path(mut self, path: impl Into<OsString>) -> Self {
        self.search_path = path.into();
        self
    }

    /// Adds settings of `postgresql.conf`, which override the defaults of this crate.
    ///
    /// With `fsync=off` everything is faster, and a crash of the operating system destroys the cluster: use it for tests.
    #[must_use]
    pub fn settings<N: Into<String>, V: Into<String>>(mut self, settings: impl IntoIterator<Item = (N, V)>) -> Self {
        let settings = settings.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.settings.extend(settings);
        self
    }

    pub(crate) fn is_durable(&self) -> bool {
        let mut fsync = self.settings.iter().filter(|(name, _)| name == "fsync");
        fsync.next_back().is_none_or(|(_, value)| value != "off")
    }

    /// Checks the name, which is part of SQL statements and paths.
    pub(crate) fn check_name(&self) -> Result<(), Error> {
        let name = self.name.as_str();
        let is_word = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        // `initdb` refuses roles with the prefix `pg_`.
        if is_word && name.len() <= MAX_NAME_LENGTH && !name.starts_with("pg_") && !RESERVED_NAMES.contains(&name) {
            Ok(())
        } else {
            Err(Error::InvalidName(name.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_plain_lowercase_word() {
        let check = |name: &str| Options::new("/data").name(name).check_name();
        for name in ["app", "keyward", "user", "shop_2", &"a".repeat(63)] {
            assert!(check(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "2fast",
            "Shop",
            "a-b",
            "a\"b",
            "é",
            "pg_app",
            "postgres",
            &"a".repeat(64),
        ] {
            let error = check(name).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{name:?}")), "{error}");
        }
    }

    #[test]
    fn the_last_value_of_fsync_decides_about_durability() {
        let options = Options::new("/data");
        assert!(options.is_durable());
        let unsafe_options = options.settings([("fsync", "off")]);
        assert!(!unsafe_options.is_durable());
        assert!(unsafe_options.settings([("fsync", "on")]).is_durable());
    }
}
