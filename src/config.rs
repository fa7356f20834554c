//! Configuration: read once, typed, secrets wrapped.
//!
//! Every setting is an environment variable and a flag: `KEYWARD_PUBLIC_URL` is `--public-url`. A flag wins over the
//! environment, the environment over the file `.env`. A value that is wrong, and a `KEYWARD_*` variable that does not
//! exist, stop the start with one line that names it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::TypedValueParser as _;
use clap::error::{ContextKind, ContextValue};
use clap::{Args, CommandFactory as _, FromArgMatches as _, ValueEnum};
use ipnet::IpNet;
use secrecy::SecretString;
use url::Url;

/// A capability that `KEYWARD_FEATURES_OFF` can switch off; its endpoints then answer 404.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Feature {
    /// `/api-keys`.
    ApiKeys,
    /// `/orgs`, `/invitations`, `/join-requests`.
    Organisations,
    /// `/password/forgot` and `/password/reset`.
    PasswordReset,
    /// `/me/avatar`.
    Avatars,
}

/// Who may sign up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Registration {
    /// Everybody with a mailbox.
    Open,
    /// Nobody; an operator makes accounts with `keyward user create`.
    Closed,
}

/// A character class that `KEYWARD_PASSWORD_CLASSES` can require.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum PasswordClass {
    /// A lower-case letter.
    Lower,
    /// An upper-case letter.
    Upper,
    /// A digit.
    Digit,
    /// Neither letter nor digit.
    Symbol,
}

impl PasswordClass {
    /// The word in the configuration and in the published policy.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Upper => "upper",
            Self::Digit => "digit",
            Self::Symbol => "symbol",
        }
    }
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Switch {
    /// It is done.
    On,
    /// It is not.
    Off,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum LogFormat {
    /// `pretty` on a terminal, `json` otherwise.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// An absolute URL without query, fragment, or slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// The URL as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether browsers reach it by TLS.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Scheme, host and port, as browsers send them in `Origin` (RFC 6454 §7).
    pub fn origin(&self) -> String {
        Url::parse(&self.0)
            .map(|url| url.origin().ascii_serialization())
            .unwrap_or_default()
    }

    /// The path, without a slash at its end; mostly empty.
    pub fn path(&self) -> String {
        Url::parse(&self.0)
            .map(|url| url.path().trim_end_matches('/').to_owned())
            .unwrap_or_default()
    }

    /// The host name.
    pub fn host(&self) -> String {
        Url::parse(&self.0)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned))
            .unwrap_or_default()
    }
}

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || !plain {
            return Err("must be http:// or https://, with a host, without query or fragment".to_owned());
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

fn parse_base_path(text: &str) -> Result<String, String> {
    let path = text.trim_end_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    if path.is_empty() || (path.starts_with('/') && !path.contains("//") && path.chars().all(plain)) {
        Ok(path.to_owned())
    } else {
        Err("must be empty or start with a slash, such as /account".to_owned())
    }
}

fn parse_key_prefix(text: &str) -> Result<String, String> {
    let fits = (1..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if fits {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 12 letters and digits".to_owned())
    }
}

fn parse_network(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "must be an address or a network in CIDR notation".to_owned())
}

fn parse_mailbox(text: &str) -> Result<lettre::message::Mailbox, String> {
    text.parse()
        .map_err(|_| "must be an address such as Keyward <no-reply@example.com>".to_owned())
}

fn parse_smtp_url(text: &str) -> Result<SecretString, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "smtp" | "smtps") && url.host_str().is_some() => Ok(SecretString::from(text)),
        _ => Err("must be smtp://host:port or smtps://host:port".to_owned()),
    }
}

fn parse_origin(text: &str) -> Result<String, String> {
    match Url::parse(text) {
        Ok(url) if url.origin().is_tuple() && url.origin().ascii_serialization() == text => Ok(text.to_owned()),
        _ => Err("must be an origin such as https://app.example.com".to_owned()),
    }
}

/// Where `/metrics` is when nothing is said.
pub const DEFAULT_ADMIN_BIND: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9090);

/// All settings, as they are in force.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// PostgreSQL to use; unset: a private one is started under the data folder
    #[arg(long, global = true, value_name = "URL", value_parser = clap::builder::StringValueParser::new().map(SecretString::from))]
    pub database_url: Option<SecretString>,
    /// Address and port the API listens on
    #[arg(long, global = true, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub bind: SocketAddr,
    /// Where clients reach the API, base path included; unset: http:// and the bind address
    #[arg(long, global = true, value_name = "URL")]
    pub public_url: Option<BaseUrl>,
    /// Where mailed links point, usually the frontend; not set: plain pages at the public URL
    #[arg(long, global = true, value_name = "URL")]
    pub app_url: Option<BaseUrl>,
    /// Path under which everything but the probes and .well-known is mounted
    #[arg(long, global = true, value_name = "PATH", default_value = "", value_parser = parse_base_path)]
    pub base_path: String,
    /// Address and port of /metrics, apart from the API; unset: 127.0.0.1:9090, if that is free
    #[arg(long, global = true, value_name = "ADDR")]
    pub admin_bind: Option<SocketAddr>,
    /// Folder of the private PostgreSQL, generated keys and written mails; unset: /var/lib/keyward as root, else ~/.local/share/keyward
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Mail server, smtp:// or smtps://; unset: mails are written as .eml files under the data folder
    #[arg(long, global = true, value_name = "URL", value_parser = parse_smtp_url)]
    pub smtp_url: Option<SecretString>,
    /// Sender of all mail
    #[arg(long, global = true, value_name = "MAILBOX", default_value = "Keyward <no-reply@localhost>", value_parser = parse_mailbox)]
    pub mail_from: lettre::message::Mailbox,
    /// Ed25519 PEM files, comma-separated: the first signs, all verify; unset: one is generated under the data folder
    #[arg(long, global = true, value_name = "FILES", value_delimiter = ',')]
    pub signing_keys: Vec<PathBuf>,
    /// File of 32 random bytes under which tokens, cursors and MACs are derived; unset: one is generated under the data folder
    #[arg(long, global = true, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Audience (aud) of access tokens
    #[arg(long, global = true, value_name = "NAME", default_value = "keyward")]
    pub audience: String,
    /// Life of an access token, in seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(30..=86_400))]
    pub access_token_seconds: u32,
    /// Origins whose pages may call the API, comma-separated
    #[arg(long, global = true, value_name = "ORIGINS", value_delimiter = ',', value_parser = parse_origin)]
    pub cors_origins: Vec<String>,
    /// Addresses or networks of proxies whose X-Forwarded-For is believed, comma-separated
    #[arg(long, global = true, value_name = "NETWORKS", value_delimiter = ',', value_parser = parse_network)]
    pub trusted_proxies: Vec<IpNet>,
    /// Limits of rate, the throttle of passwords included
    #[arg(long, global = true, default_value = "on")]
    pub rate_limits: Switch,
    /// TOML file of the platform's own scopes
    #[arg(long, global = true, value_name = "FILE")]
    pub scopes_file: Option<PathBuf>,
    /// What API keys begin with, before the underscore
    #[arg(long, global = true, value_name = "WORD", default_value = "kw", value_parser = parse_key_prefix)]
    pub key_prefix: String,
    /// Longest time from now to which an API key may expire or be extended, in days
    #[arg(long, global = true, value_name = "DAYS", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub key_max_lifetime_days: u32,
    /// Who may sign up
    #[arg(long, global = true, default_value = "open")]
    pub registration: Registration,
    /// Capabilities to switch off, comma-separated
    #[arg(long, global = true, value_name = "FEATURES", value_delimiter = ',')]
    pub features_off: Vec<Feature>,
    /// Fewest characters of a password
    #[arg(long, global = true, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub password_min_length: u32,
    /// Most characters of a password
    #[arg(long, global = true, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(64..=4096))]
    pub password_max_length: u32,
    /// Least strength of a password by zxcvbn, 0 to 4
    #[arg(long, global = true, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=4))]
    pub password_min_strength: u8,
    /// Character classes a password must have, comma-separated
    #[arg(long, global = true, value_name = "CLASSES", value_delimiter = ',')]
    pub password_classes: Vec<PasswordClass>,
    /// Memory of one password hash (Argon2id m), in KiB
    #[arg(long, global = true, value_name = "KIB", default_value_t = 19_456, value_parser = clap::value_parser!(u32).range(8..=4_194_304))]
    pub argon2_memory_kib: u32,
    /// Passes of one password hash (Argon2id t)
    #[arg(long, global = true, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub argon2_iterations: u32,
    /// Connections to PostgreSQL
    #[arg(long, global = true, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub db_pool_size: u32,
    /// Threads that serve requests; 0: one per core
    #[arg(long, global = true, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub workers: u16,
    /// Seconds for which /readyz says 503 before the listener closes
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=3600))]
    pub drain_seconds: u32,
    /// What is logged: a level, or directives such as info,keyward=debug
    #[arg(long, global = true, value_name = "FILTER", default_value = "info")]
    pub log: String,
    /// How log lines look
    #[arg(long, global = true, default_value = "auto")]
    pub log_format: LogFormat,
}

impl Config {
    /// Where clients reach the API, base path included, no slash at the end.
    pub fn public_url(&self) -> BaseUrl {
        self.public_url
            .clone()
            .unwrap_or_else(|| BaseUrl(format!("http://{}{}", self.bind, self.base_path)))
    }

    /// The path under which browsers see the API: that of the public URL.
    pub fn cookie_path(&self) -> String {
        Url::parse(self.public_url().as_str())
            .map_or_else(|_| String::new(), |url| url.path().trim_end_matches('/').to_owned())
    }

    /// Where mailed links point.
    pub fn app_url(&self) -> BaseUrl {
        self.app_url.clone().unwrap_or_else(|| self.public_url())
    }

    /// Whether `feature` is offered.
    pub fn offers(&self, feature: Feature) -> bool {
        !self.features_off.contains(&feature)
    }

    /// Whether limits of rate are in force.
    pub fn limits_rates(&self) -> bool {
        self.rate_limits == Switch::On
    }
}

/// What `keyward` was called for.
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "keyward",
    version,
    about = "A self-hosted account service: people, organisations and API keys."
)]
#[command(
    after_help = "Every option is an environment variable too: --public-url is KEYWARD_PUBLIC_URL, --database-url \
                        is DATABASE_URL. The file .env is read."
)]
#[command(args_override_self = true)]
pub struct CommandLine {
    #[command(flatten)]
    /// The settings.
    pub config: Config,
    /// What to do; `serve` when nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The things `keyward` can do.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Serve the API (the default)
    Serve,
    /// Bring the database up to date and stop
    Migrate,
    /// Print the OpenAPI document; needs no database
    Openapi,
    /// Signing keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// People's accounts
    #[command(subcommand)]
    User(UserCommand),
}

/// What can be done with signing keys.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum KeysCommand {
    /// Print a new Ed25519 key as PEM
    Generate,
}

/// What can be done with accounts.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum UserCommand {
    /// Make an account; the password is read from the terminal
    Create(CreateUserArgs),
    /// List accounts: id, address, username, role, status
    List,
    /// Set somebody's password; it is read from the terminal
    SetPassword(SetPasswordArgs),
    /// Give somebody a role on the platform
    SetRole {
        /// E-mail address or username
        login: String,
        /// The role
        #[arg(value_parser = ["user", "admin"])]
        role: String,
    },
    /// Disable an account: its sessions end, its API keys are suspended
    Disable {
        /// E-mail address or username
        login: String,
    },
    /// Enable an account again
    Enable {
        /// E-mail address or username
        login: String,
    },
}

/// Whose password to set.
#[derive(Clone, Debug, Args)]
pub struct SetPasswordArgs {
    /// E-mail address or username
    pub login: String,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
}

/// Whom to make an account for.
#[derive(Clone, Debug, Args)]
pub struct CreateUserArgs {
    /// E-mail address
    #[arg(long)]
    pub email: String,
    /// Unique account name
    #[arg(long)]
    pub username: String,
    /// Role on the platform
    #[arg(long, value_parser = ["user", "admin"], default_value = "user")]
    pub role: String,
    /// The address is known to be theirs: no mail is sent
    #[arg(long)]
    pub verified: bool,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
}

/// Why the command line or the environment cannot be used; one line, or clap's own help and version texts.
#[derive(Debug)]
pub enum ConfigError {
    /// `--help` or `--version`: print it and succeed.
    Shown(clap::Error),
    /// One line that names what is wrong.
    Wrong(String),
}

const PREFIX: &str = "KEYWARD_";

/// Reads flags and environment.
///
/// # Errors
/// A value is wrong, or a flag or `KEYWARD_*` variable is unknown.
pub fn parse(
    environment: impl IntoIterator<Item = (String, String)>,
    arguments: impl IntoIterator<Item = String>,
) -> Result<CommandLine, ConfigError> {
    let mut arguments = arguments.into_iter();
    // Variables come first as if they were flags, so that flags, which come after them, win.
    let mut all = vec![arguments.next().unwrap_or_else(|| "keyward".to_owned())];
    let settings = setting_names();
    for (name, value) in environment {
        let Some(flag) = flag_of(&name) else { continue };
        if !settings.contains_key(&flag) {
            return Err(ConfigError::Wrong(format!("{name}: there is no such setting")));
        }
        // `KEYWARD_SMTP_URL=` in a file means: not set.
        if !value.is_empty() {
            all.push(format!("--{flag}={value}"));
        }
    }
    all.extend(arguments);
    let matches = CommandLine::command().try_get_matches_from(all).map_err(describe)?;
    let line = CommandLine::from_arg_matches(&matches).map_err(describe)?;
    if line.config.password_min_length > line.config.password_max_length {
        return Err(ConfigError::Wrong(
            "KEYWARD_PASSWORD_MIN_LENGTH: must not exceed the longest length".to_owned(),
        ));
    }
    Ok(line)
}

/// The environment variables that are settings, with their default (if any) and meaning.
pub fn setting_names() -> BTreeMap<String, (Option<String>, String)> {
    CommandLine::command()
        .get_arguments()
        .filter_map(|argument| {
            let default = argument
                .get_default_values()
                .first()
                .map(|value| value.to_string_lossy().into_owned());
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            Some((argument.get_long()?.to_owned(), (default, help)))
        })
        .filter(|(name, _)| name != "help" && name != "version")
        .collect()
}

/// The variable behind a flag's name.
pub fn variable_of(flag: &str) -> String {
    let name = flag.replace('-', "_").to_uppercase();
    if flag == "database-url" {
        name
    } else {
        format!("{PREFIX}{name}")
    }
}

fn flag_of(variable: &str) -> Option<String> {
    let name = if variable == "DATABASE_URL" {
        variable
    } else {
        variable.strip_prefix(PREFIX)?
    };
    Some(name.replace('_', "-").to_lowercase())
}

/// One line out of clap's several, with the variable's name in front where a setting is meant.
fn describe(error: clap::Error) -> ConfigError {
    use clap::error::ErrorKind;
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        return ConfigError::Shown(error);
    }
    let text = error.to_string();
    let first = text
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned();
    let setting = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument
            .strip_prefix("--")
            .and_then(|rest| rest.split([' ', '=']).next())
            .map(variable_of),
        _ => None,
    };
    let hint = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => format!(" (one of {})", values.join(", ")),
        _ => String::new(),
    };
    ConfigError::Wrong(match setting {
        Some(setting) => format!("{setting}: {}{hint}", without_secret(&setting, &first)),
        None => first,
    })
}

/// The values of these two carry passwords: they are not repeated.
fn without_secret(setting: &str, line: &str) -> String {
    if matches!(setting, "DATABASE_URL" | "KEYWARD_SMTP_URL") {
        let reason = line
            .rsplit_once("': ")
            .or_else(|| line.rsplit_once(": "))
            .map_or("not valid", |(_, reason)| reason);
        return format!("invalid value: {reason}");
    }
    line.to_owned()
}

/// The variables of the process and, behind them, of the file `.env` in the working folder.
///
/// # Errors
/// The file is there, but cannot be read.
pub fn environment() -> Result<BTreeMap<String, String>, ConfigError> {
    let mut all = BTreeMap::new();
    match dotenvy::dotenv_iter() {
        Ok(entries) => {
            for entry in entries {
                let (name, value) = entry.map_err(|error| ConfigError::Wrong(format!(".env: {error}")))?;
                all.insert(name, value);
            }
        }
        Err(error) if error.not_found() => {}
        Err(error) => return Err(ConfigError::Wrong(format!(".env: {error}"))),
    }
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    let process = std::env::vars_os();
    for (name, value) in process {
        if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) {
            all.insert(name, value);
        }
    }
    Ok(all)
}

/// The data folder when none is configured: the system's for root, the user's own otherwise.
pub fn default_data_dir(environment: &BTreeMap<String, String>) -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/keyward");
    }
    let base = environment
        .get("XDG_DATA_HOME")
        .filter(|dir| Path::new(dir).is_absolute())
        .map(PathBuf::from);
    let home = environment.get("HOME").map(|home| Path::new(home).join(".local/share"));
    base.or(home).unwrap_or_else(|| PathBuf::from(".")).join("keyward")
}
