//! The private PostgreSQL that a command uses if no database is configured.

use std::path::Path;

use embedded_postgres::{EmbeddedPostgres, Error, Options};

use super::failure::{Failure, one_line};

/// Part of existing data folders: changing it would make their databases unreachable.
const NAME: &str = "keyward";

pub fn start(data_dir: &Path) -> Result<EmbeddedPostgres, Failure> {
    let options = Options::new(data_dir).name(NAME).root_cluster_dir("/var/lib/keyward");
    EmbeddedPostgres::start(&options).map_err(|error| with_setting(&error))
}

/// Adds the setting that avoids the error.
fn with_setting(error: &Error) -> Failure {
    let advice = match error {
        Error::NoPrograms | Error::VersionNotInstalled { .. } | Error::NoServerUser | Error::Run { .. } => {
            "; or set DATABASE_URL to use another PostgreSQL server"
        }
        Error::Io { .. } | Error::ClosedFolder { .. } | Error::NotACluster(_) => {
            "; KEYWARD_DATA_DIR sets the data folder"
        }
        _ => "",
    };
    one_line(format_args!("{error}{advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_setting_that_avoids_it() {
        assert!(with_setting(&Error::NoPrograms).contains("set DATABASE_URL"));
        assert!(with_setting(&Error::NotACluster("/data/postgres".into())).contains("KEYWARD_DATA_DIR"));
        let error = Error::BrokenLink("/data/postgres".into());
        assert_eq!(with_setting(&error), error.to_string());
    }
}
