//! The program `keyward`: `serve`, `migrate`, `openapi`, `keys`, `user`.
//!
//! A command that fails prints one line on standard error that describes the failure and names the setting that
//! can help, if there is one.

pub mod args;
mod context;
mod failure;
mod operator;
mod output;
mod private_postgres;
mod serve;
mod user;

use std::io::Write as _;
use std::path::PathBuf;

use self::args::{Command, CommandLine, KeysCommand, ParseError};
use self::context::{CommandContext, with_database};
use self::failure::{Failure, one_line};
use self::output::print;
use crate::app;
use crate::auth::generate_signing_key;
use crate::config::{self, Config};
use crate::observability::log;

/// Runs the command line and ends the process.
///
/// The process ends without the exit handlers of C libraries: a thread that is connecting to the database may still use
/// OpenSSL, whose handler frees what the thread needs, and the crash would hide the exit code.
pub fn main() -> ! {
    let result = match parse() {
        Ok((command_line, default_data_dir)) => run(command_line, default_data_dir),
        Err(ParseError::HelpOrVersion(text)) => print(text),
        Err(ParseError::Invalid(failure)) => Err(failure),
    };
    let code = match result {
        Ok(()) => 0,
        Err(failure) => {
            // Standard error may be closed; `eprintln!` would panic.
            let _ = writeln!(std::io::stderr(), "keyward: {failure}");
            1
        }
    };
    // A handler of the standard library would do this.
    let _ = std::io::stdout().flush();
    signal_hook::low_level::exit(code)
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
            let document = app::document(&config).to_pretty_json().map_err(one_line)?;
            print(format_args!("{document}\n"))
        }
        Command::Keys(KeysCommand::Generate) => print(generate_signing_key().map_err(one_line)?),
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
