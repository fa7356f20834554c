//! The command line: its subcommands and their arguments.

use clap::{Args, CommandFactory as _, FromArgMatches as _};

use crate::config::{self, Config};

// A flag may be repeated (`args_override_self`), because settings from the environment are passed to clap as flags.
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "keyward",
    version,
    about = "A self-hosted account service: people, organisations and API keys.",
    after_help = "Every option can also be set as an environment variable or in the file .env: --public-url is \
                  KEYWARD_PUBLIC_URL, --database-url is DATABASE_URL.",
    args_override_self = true
)]
pub struct CommandLine {
    #[command(flatten)]
    pub config: Config,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Serve the API (the default)
    Serve,
    /// Apply the pending database migrations
    Migrate,
    /// Print the OpenAPI document; needs no database
    Openapi,
    /// Create keys that sign access tokens
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Create and change user accounts
    #[command(subcommand)]
    User(UserCommand),
}

#[derive(Clone, Debug, clap::Subcommand)]
pub enum KeysCommand {
    /// Print a new Ed25519 key in PEM format, for KEYWARD_SIGNING_KEYS
    Generate,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub enum UserCommand {
    /// Create an account; the password is read from the terminal
    Create(CreateUserArgs),
    /// List all accounts: id, e-mail address, username, role, status
    List,
    /// Set the password of an account and end its sessions; the password is read from the terminal
    SetPassword(SetPasswordArgs),
    /// Set the platform role of an account
    SetRole {
        /// E-mail address or username
        login: String,
        /// New role
        #[arg(value_parser = ["user", "admin"])]
        role: String,
    },
    /// Disable an account: end its sessions and suspend its API keys
    Disable {
        /// E-mail address or username
        login: String,
    },
    /// Enable a disabled account
    Enable {
        /// E-mail address or username
        login: String,
    },
}

#[derive(Clone, Debug, Args)]
pub struct SetPasswordArgs {
    /// E-mail address or username
    pub login: String,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
}

#[derive(Clone, Debug, Args)]
pub struct CreateUserArgs {
    /// E-mail address
    #[arg(long)]
    pub email: String,
    /// Username, unique on the platform
    #[arg(long)]
    pub username: String,
    /// Platform role
    #[arg(long, value_parser = ["user", "admin"], default_value = "user")]
    pub role: String,
    /// Treat the address as verified; otherwise the user has to follow a link in an e-mail first, and enter this password or
    /// a new one. Verified in another way, the account is a plain user
    #[arg(long)]
    pub verified: bool,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
}

/// The reason for which there is no [`CommandLine`].
#[derive(Debug)]
pub enum ParseError {
    /// The text of `--help` or `--version`, to be printed.
    HelpOrVersion(clap::Error),
    /// One line that names the invalid setting or argument.
    Invalid(String),
}

/// Parses the environment and the arguments, of which the first is the name of the program.
///
/// # Errors
/// See [`ParseError`].
pub fn parse(
    environment: impl IntoIterator<Item = (String, String)>,
    arguments: impl IntoIterator<Item = String>,
) -> Result<CommandLine, ParseError> {
    let mut arguments = arguments.into_iter();
    let program = arguments.next().unwrap_or_else(|| "keyward".to_owned());
    let flags = config::flags(environment).map_err(ParseError::Invalid)?;
    // The last occurrence of a flag counts, so arguments override the environment.
    let all = std::iter::once(program).chain(flags).chain(arguments);
    let command_line = CommandLine::command()
        .try_get_matches_from(all)
        .and_then(|matches| CommandLine::from_arg_matches(&matches))
        .map_err(to_parse_error)?;
    Ok(CommandLine {
        config: command_line.config.validated().map_err(ParseError::Invalid)?,
        command: command_line.command,
    })
}

fn to_parse_error(error: clap::Error) -> ParseError {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            ParseError::HelpOrVersion(error)
        }
        _ => ParseError::Invalid(config::one_line(&error)),
    }
}
