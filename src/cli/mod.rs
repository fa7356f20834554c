//! The command line: `serve`, `migrate`, `openapi`, `keys`, `user`.
//!
//! Whatever stops a command is said in one line on standard error.

mod operator;
mod private_postgres;
mod serve;
mod user;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::{self, Keystore};
use crate::auth::generate_signing_key;
use crate::clock::Clock;
use crate::config::{self, Command, CommandLine, Config, ConfigError, KeysCommand};
use crate::db::migrations;
use crate::observability::log;
use crate::state::State;
use secrecy::SecretString;

/// One line about why a command cannot go on.
type Failure = String;

/// Runs the command the program was called for.
pub fn main() -> ExitCode {
    let outcome = config::environment()
        .and_then(|environment| Ok((config::parse(environment.clone(), std::env::args())?, environment)))
        .map(|(line, environment)| {
            let data_dir = config::default_data_dir(&environment);
            run(line, data_dir)
        });
    match outcome {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) | Err(ConfigError::Wrong(failure)) => {
            eprintln!("keyward: {failure}");
            ExitCode::FAILURE
        }
        Err(ConfigError::Shown(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
    }
}

fn run(line: CommandLine, default_data_dir: PathBuf) -> Result<(), Failure> {
    let config = line.config;
    match line.command.unwrap_or(Command::Serve) {
        Command::Openapi => {
            println!("{}", app::document(&config).to_pretty_json().map_err(one_line)?);
            Ok(())
        }
        Command::Keys(KeysCommand::Generate) => {
            print!("{}", generate_signing_key().map_err(one_line)?);
            Ok(())
        }
        Command::Serve => {
            log::start(&config)?;
            // Before the database: a port that is taken should not cost the start of a PostgreSQL.
            let listeners = serve::listen(&config)?;
            with_database(config, default_data_dir, |place| serve::run(place, listeners))
        }
        Command::Migrate => {
            quietly(&config)?;
            with_database(config, default_data_dir, Place::migrate)
        }
        Command::User(command) => {
            quietly(&config)?;
            with_database(config, default_data_dir, |place| user::run(place, command))
        }
    }
}

/// Commands say themselves what they did.
fn quietly(config: &Config) -> Result<(), Failure> {
    log::start(&Config {
        log: "warn".to_owned(),
        ..config.clone()
    })
}

/// Where a command works: settings, data folder, database.
struct Place {
    config: Config,
    data_dir: PathBuf,
    database_url: SecretString,
}

impl Place {
    fn migrate(&self) -> Result<(), Failure> {
        migrations::migrate(&self.database_url).map_err(with_source)
    }

    fn material(&self) -> Result<Keystore, Failure> {
        Keystore::load(&self.config, &self.data_dir).map_err(one_line)
    }

    fn state(&self, material: Keystore) -> Result<State, Failure> {
        app::build_state(self.config.clone(), &self.database_url, material, Clock::system()).map_err(with_source)
    }
}

/// Runs a command on the configured database, or on the private one, which is stopped afterwards.
fn with_database(
    config: Config,
    default_data_dir: PathBuf,
    command: impl FnOnce(&Place) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let data_dir = config.data_dir.clone().unwrap_or(default_data_dir);
    if let Some(database_url) = config.database_url.clone() {
        return command(&Place {
            config,
            data_dir,
            database_url,
        });
    }
    let postgres = private_postgres::start(&data_dir)?;
    let database_url = postgres.database_url().clone();
    let outcome = command(&Place {
        config,
        data_dir,
        database_url,
    });
    postgres.stop().map_err(one_line)?;
    outcome
}

fn bind(setting: &str, address: std::net::SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| format!("{setting}: {address}: {error}"))
}

fn one_line(error: impl std::fmt::Display) -> Failure {
    error.to_string().replace('\n', " ")
}

/// An error of ours says little to the outside; an operator needs its source.
fn with_source(error: crate::error::Error) -> Failure {
    match std::error::Error::source(&error) {
        Some(source) => one_line(source),
        None => one_line(error.detail()),
    }
}
