//! The program `keyward`: `serve`, `migrate`, `openapi`, `keys`, `user`.
//!
//! A command that fails prints one line on standard error that says what is wrong and, where a setting can help, names
//! it.

pub mod args;
mod operator;
mod private_postgres;
mod serve;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use secrecy::SecretString;

use crate::app::{self, Keystore};
use crate::auth::generate_signing_key;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::db::migrations;
use crate::error::Error;
use crate::observability::log;
use crate::state::State;
use args::{Command, CommandLine, KeysCommand, ParseError};

/// One line that says why a command failed.
type Failure = String;

pub fn main() -> ExitCode {
    let result = match parse() {
        Ok((command_line, default_data_dir)) => run(command_line, default_data_dir),
        Err(ParseError::HelpOrVersion(text)) => {
            print!("{text}");
            Ok(())
        }
        Err(ParseError::Invalid(failure)) => Err(failure),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("keyward: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<(CommandLine, PathBuf), ParseError> {
    let environment = config::environment().map_err(ParseError::Invalid)?;
    let default_data_dir = config::default_data_dir(&environment);
    Ok((args::parse(environment, std::env::args())?, default_data_dir))
}

fn run(command_line: CommandLine, default_data_dir: PathBuf) -> Result<(), Failure> {
    let config = command_line.config;
    match command_line.command.unwrap_or(Command::Serve) {
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
            // Before the database, so that a port in use is reported without starting a private PostgreSQL first.
            let listeners = serve::listen(&config)?;
            with_database(config, default_data_dir, |context| serve::run(context, listeners))
        }
        Command::Migrate => {
            log_warnings_only(&config)?;
            with_database(config, default_data_dir, CommandContext::migrate)
        }
        Command::User(command) => {
            log_warnings_only(&config)?;
            with_database(config, default_data_dir, |context| user::run(context, command))
        }
    }
}

/// For commands that print their result.
fn log_warnings_only(config: &Config) -> Result<(), Failure> {
    log::start(&Config {
        log: "warn".to_owned(),
        ..config.clone()
    })
}

/// What a command that needs the database works with.
struct CommandContext {
    config: Config,
    data_dir: PathBuf,
    database_url: SecretString,
}

impl CommandContext {
    fn migrate(&self) -> Result<(), Failure> {
        migrations::migrate(&self.database_url).map_err(with_source)
    }

    fn keystore(&self) -> Result<Keystore, Failure> {
        Keystore::load(&self.config, &self.data_dir).map_err(one_line)
    }

    fn state(&self, keystore: Keystore) -> Result<State, Failure> {
        app::build_state(self.config.clone(), &self.database_url, keystore, Clock::system()).map_err(with_source)
    }
}

/// Runs a command on the configured database, or on the private PostgreSQL, which is stopped afterwards.
fn with_database(
    config: Config,
    default_data_dir: PathBuf,
    command: impl FnOnce(&CommandContext) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let data_dir = config.data_dir.clone().unwrap_or(default_data_dir);
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

fn one_line(error: impl std::fmt::Display) -> Failure {
    error.to_string().replace('\n', " ")
}

/// The source of an [`Error`]: its own text is written for API clients and leaves out the cause.
fn with_source(error: Error) -> Failure {
    match std::error::Error::source(&error) {
        Some(source) => one_line(source),
        None => one_line(error.detail()),
    }
}
