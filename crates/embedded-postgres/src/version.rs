//! Major versions of PostgreSQL, as `PG_VERSION` in a cluster spells them: `17`, and `9.6` before version 10.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::Error;

/// The major version that created the cluster; `None` if the directory is missing or empty.
pub(crate) fn of_cluster(cluster: &Path) -> Result<Option<String>, Error> {
    let file = cluster.join("PG_VERSION");
    match fs::read_to_string(&file) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_free = fs::read_dir(cluster).map_or_else(
                |error| error.kind() == io::ErrorKind::NotFound,
                |mut entries| entries.next().is_none(),
            );
            is_free
                .then_some(None)
                .ok_or_else(|| Error::NotACluster(cluster.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(Error::NotACluster(cluster.to_owned())),
        Err(error) => Err(Error::io("read", &file)(error)),
    }
}

/// The major version in the output of `postgres --version`, such as `15` in "postgres (PostgreSQL) 15.18 (Debian …)".
pub(crate) fn in_output(text: &str) -> Option<String> {
    let number = text.split_once("(PostgreSQL)")?.1.split_whitespace().next()?;
    let digits = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>();
    let mut parts = number.split('.').map(digits);
    let first = parts.next().filter(|first| !first.is_empty())?;
    match parts.next() {
        // Before version 10, the first two numbers were the major version.
        Some(second) if first.len() == 1 => Some(format!("{first}.{second}")),
        _ => Some(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_in_the_output_is_spelled_as_in_pg_version() {
        let version = |number| in_output(&format!("postgres (PostgreSQL) {number} (Debian 1)\n"));
        assert_eq!(version("15.18").as_deref(), Some("15"));
        assert_eq!(version("19devel").as_deref(), Some("19"));
        assert_eq!(version("17rc1").as_deref(), Some("17"));
        assert_eq!(version("9.6.24").as_deref(), Some("9.6"));
        assert_eq!(in_output("something else"), None);
    }
}
