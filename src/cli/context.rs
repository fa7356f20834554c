//! The configuration and the database of a command.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::failure::{Failure, one_line, with_source};
use super::private_postgres;
use crate::app::{self, Keystore};
use crate::clock::Clock;
use crate::config::Config;
use crate::db::migrations::{self, NEWER_SCHEMA, Schema};
use crate::db::tls;
use crate::state::State;

/// The settings and the database of a command.
pub struct CommandContext {
    pub config: Config,
    pub data_dir: PathBuf,
    pub database_url: SecretString,
}

impl CommandContext {
    pub fn migrate(&self) -> Result<(), Failure> {
        match migrations::migrate(&self.database_url).map_err(with_source)? {
            Schema::Newer => Err(NEWER_SCHEMA.to_owned()),
            Schema::Current | Schema::Pending => Ok(()),
        }
    }

    pub fn keystore(&self) -> Result<Keystore, Failure> {
        Keystore::load(&self.config, &self.data_dir).map_err(one_line)
    }

    pub fn state(&self, keystore: Keystore) -> Result<State, Failure> {
        app::build_state(self.config.clone(), &self.database_url, keystore, Clock::system()).map_err(with_source)
    }
}

/// Runs a command on the configured database, or on the private PostgreSQL, which is stopped afterwards.
pub fn with_database(
    config: Config,
    default_data_dir: PathBuf,
    command: impl FnOnce(&CommandContext) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let data_dir = config.data_dir.clone().unwrap_or(default_data_dir);
    for (setting, url) in [
        ("DATABASE_URL", &config.database_url),
        ("KEYWARD_DB_LISTEN_URL", &config.db_listen_url),
    ] {
        let checked = url
            .as_ref()
            .map(|url| tls::check_root_certificates(url.expose_secret()));
        checked.transpose().map_err(|reason| format!("{setting}: {reason}"))?;
    }
    if let Some(database_url) = config.database_url.clone() {
        return command(&CommandContext {
            config,
            data_dir,
            database_url,
        });
    }
    let postgres = private_postgres::start(&data_dir)?;
    let database_url = postgres.database_url().clone();
    let result = command(&CommandContext {
        config,
        data_dir,
        database_url,
    });
    postgres.stop().map_err(one_line)?;
    result
}
