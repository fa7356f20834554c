//! The settings of the service.
//!
//! Each setting is an environment variable and a flag of the command line: `KEYWARD_PUBLIC_URL` and `--public-url`. A
//! flag overrides the environment, the environment overrides the file `.env`. An invalid value or an unknown
//! `KEYWARD_*` variable stops the program with one line that names the variable.
//!
//! The doc comments of [`Config`] are the texts of `keyward --help`. `.env.example` repeats them; a test compares both.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::{StringValueParser, TypedValueParser as _};
use clap::error::{ContextKind, ContextValue};
use clap::{Args, FromArgMatches as _, ValueEnum, value_parser};
use ipnet::IpNet;
use lettre::message::Mailbox;
use secrecy::SecretString;
use url::Url;

/// A capability that `KEYWARD_FEATURES_OFF` can switch off. Its endpoints then respond with 404.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Feature {
    /// API keys: /api-keys
    ApiKeys,
    /// Organisations: /orgs, /invitations, /join-requests
    Organisations,
    /// Reset of forgotten passwords: /password/forgot, /password/reset
    PasswordReset,
    /// Avatars: /me/avatar, /avatars
    Avatars,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Registration {
    /// Everyone with an e-mail address can sign up
    Open,
    /// Only an operator creates accounts, with `keyward user create`
    Closed,
}

/// A character class that `KEYWARD_PASSWORD_CLASSES` can require.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum PasswordClass {
    /// A lower-case letter
    Lower,
    /// An upper-case letter
    Upper,
    /// A digit
    Digit,
    /// Any other character
    Symbol,
}

impl PasswordClass {
    /// The name in the configuration and in `GET /password/policy`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Upper => "upper",
            Self::Digit => "digit",
            Self::Symbol => "symbol",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum LogFormat {
    /// `pretty` on a terminal, otherwise `json`
    Auto,
    /// Text lines
    Pretty,
    /// One JSON object per line
    Json,
}

/// An absolute http or https URL without query and fragment, stored without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Scheme, host and port, as browsers send them in `Origin` (RFC 6454 §7).
    pub fn origin(&self) -> String {
        Url::parse(&self.0)
            .map(|url| url.origin().ascii_serialization())
            .unwrap_or_default()
    }

    /// The path without a trailing slash; empty for the root.
    pub fn path(&self) -> String {
        Url::parse(&self.0)
            .map(|url| url.path().trim_end_matches('/').to_owned())
            .unwrap_or_default()
    }

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
        let has_extra_parts = url.query().is_some() || url.fragment().is_some() || !url.username().is_empty();
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || has_extra_parts {
            return Err("must be an http:// or https:// URL without user, query and fragment".to_owned());
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

fn parse_base_path(text: &str) -> Result<String, String> {
    let path = text.trim_end_matches('/');
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    if path.is_empty() || (path.starts_with('/') && !path.contains("//") && path.chars().all(is_allowed)) {
        Ok(path.to_owned())
    } else {
        Err("must be empty or start with a slash, such as /account".to_owned())
    }
}

fn parse_key_prefix(text: &str) -> Result<String, String> {
    if (1..=12).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 12 ASCII letters and digits".to_owned())
    }
}

fn parse_network(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "must be an IP address or a network such as 10.0.0.0/8".to_owned())
}

fn parse_mailbox(text: &str) -> Result<Mailbox, String> {
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

/// The address of `/metrics` if `KEYWARD_ADMIN_BIND` is not set.
pub const DEFAULT_ADMIN_BIND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

#[derive(Clone, Debug, Args)]
pub struct Config {
    /// URL of the PostgreSQL database, such as postgres://user:password@host/database; if not set, Keyward starts a
    /// private PostgreSQL in the data folder
    #[arg(long, global = true, value_name = "URL", value_parser = StringValueParser::new().map(SecretString::from))]
    pub database_url: Option<SecretString>,
    /// Address and port on which the API listens
    #[arg(long, global = true, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub bind: SocketAddr,
    /// URL at which clients reach the API, including the base path; if not set: http://, the listen address and the
    /// base path
    #[arg(long, global = true, value_name = "URL")]
    pub public_url: Option<BaseUrl>,
    /// URL to which links in e-mails point, usually that of the frontend; if not set, they point to plain pages at the
    /// public URL
    #[arg(long, global = true, value_name = "URL")]
    pub app_url: Option<BaseUrl>,
    /// Path prefix of all endpoints except the probes and /.well-known, such as /account
    #[arg(long, global = true, value_name = "PATH", default_value = "", value_parser = parse_base_path)]
    pub base_path: String,
    /// Address and port of /metrics; if not set: 127.0.0.1:9090, or no metrics if that port is in use
    #[arg(long, global = true, value_name = "ADDR")]
    pub admin_bind: Option<SocketAddr>,
    /// Folder of the private PostgreSQL, of generated keys and of e-mails written to files; if not set:
    /// /var/lib/keyward for root, otherwise $XDG_DATA_HOME/keyward or ~/.local/share/keyward
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// URL of the mail server, such as smtps://user:password@mail.example.com; if not set, e-mails are written as .eml
    /// files to the data folder
    #[arg(long, global = true, value_name = "URL", value_parser = parse_smtp_url)]
    pub smtp_url: Option<SecretString>,
    /// Sender of all e-mails
    #[arg(long, global = true, value_name = "MAILBOX", default_value = "Keyward <no-reply@localhost>", value_parser = parse_mailbox)]
    pub mail_from: Mailbox,
    /// PEM files of Ed25519 keys, comma-separated: the first signs access tokens, all verify them; if not set, a key is
    /// generated in the data folder. Instances that share a database need the same keys
    #[arg(long, global = true, value_name = "FILES", value_delimiter = ',')]
    pub signing_keys: Vec<PathBuf>,
    /// File with 32 random bytes from which tokens, cursors and MACs are derived; if not set, it is generated in the
    /// data folder. Instances that share a database need the same file
    #[arg(long, global = true, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Audience (the claim aud) of access tokens
    #[arg(long, global = true, value_name = "NAME", default_value = "keyward")]
    pub audience: String,
    /// Lifetime of an access token in seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 600, value_parser = value_parser!(u32).range(30..=86_400))]
    pub access_token_seconds: u32,
    /// Origins whose web pages may call the API, comma-separated, such as https://app.example.com
    #[arg(long, global = true, value_name = "ORIGINS", value_delimiter = ',', value_parser = parse_origin)]
    pub cors_origins: Vec<String>,
    /// Addresses or networks of proxies whose X-Forwarded-For is trusted, comma-separated, such as 10.0.0.0/8
    #[arg(long, global = true, value_name = "NETWORKS", value_delimiter = ',', value_parser = parse_network)]
    pub trusted_proxies: Vec<IpNet>,
    /// Rate limits, including the limit on wrong passwords
    #[arg(long, global = true, default_value = "on")]
    pub rate_limits: Switch,
    /// TOML file with additional scopes of the platform
    #[arg(long, global = true, value_name = "FILE")]
    pub scopes_file: Option<PathBuf>,
    /// Prefix of API keys, before the underscore
    #[arg(long, global = true, value_name = "WORD", default_value = "kw", value_parser = parse_key_prefix)]
    pub key_prefix: String,
    /// Maximum lifetime of an API key in days, counted from its creation or from the last change of its expiry
    #[arg(long, global = true, value_name = "DAYS", default_value_t = 3650, value_parser = value_parser!(u32).range(1..=36_500))]
    pub key_max_lifetime_days: u32,
    /// Whether people can sign up
    #[arg(long, global = true, default_value = "open")]
    pub registration: Registration,
    /// Features to switch off, comma-separated
    #[arg(long, global = true, value_name = "FEATURES", value_delimiter = ',')]
    pub features_off: Vec<Feature>,
    /// Minimum length of a password in characters
    #[arg(long, global = true, value_name = "N", default_value_t = 12, value_parser = value_parser!(u32).range(1..=1024))]
    pub password_min_length: u32,
    /// Maximum length of a password in characters
    #[arg(long, global = true, value_name = "N", default_value_t = 1024, value_parser = value_parser!(u32).range(64..=4096))]
    pub password_max_length: u32,
    /// Minimum strength of a password as zxcvbn scores it, 0 to 4
    #[arg(long, global = true, value_name = "N", default_value_t = 3, value_parser = value_parser!(u8).range(0..=4))]
    pub password_min_strength: u8,
    /// Character classes that a password must contain, comma-separated
    #[arg(long, global = true, value_name = "CLASSES", value_delimiter = ',')]
    pub password_classes: Vec<PasswordClass>,
    /// Memory that hashing a password uses (Argon2id m), in KiB
    #[arg(long, global = true, value_name = "KIB", default_value_t = 19_456, value_parser = value_parser!(u32).range(8..=4_194_304))]
    pub argon2_memory_kib: u32,
    /// Iterations of hashing a password (Argon2id t)
    #[arg(long, global = true, value_name = "N", default_value_t = 2, value_parser = value_parser!(u32).range(1..=100))]
    pub argon2_iterations: u32,
    /// Maximum number of connections to PostgreSQL; up to two more listen for notifications
    #[arg(long, global = true, value_name = "N", default_value_t = 10, value_parser = value_parser!(u32).range(1..=1000))]
    pub db_pool_size: u32,
    /// Threads that serve requests; 0: one per core
    #[arg(long, global = true, value_name = "N", default_value_t = 0, value_parser = value_parser!(u16).range(0..=1024))]
    pub workers: u16,
    /// Maximum number of connections to the API; fewer if the limit of open files (ulimit -n) does not allow as many. From
    /// three quarters on, idle connections are closed; a network that is no trusted proxy may hold one quarter
    #[arg(long, global = true, value_name = "N", default_value_t = 4096, value_parser = value_parser!(u32).range(16..=1_000_000))]
    pub max_connections: u32,
    /// How many seconds after SIGTERM /readyz reports 503 while requests are still accepted
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 5, value_parser = value_parser!(u32).range(0..=3600))]
    pub drain_seconds: u32,
    /// Days for which sessions are kept after they ended or reached their maximum age; 0: for ever
    #[arg(long, global = true, value_name = "DAYS", default_value_t = 90, value_parser = value_parser!(u32).range(0..=36_500))]
    pub retention_sessions_days: u32,
    /// Days for which audit records are kept; 0: for ever
    #[arg(long, global = true, value_name = "DAYS", default_value_t = 400, value_parser = value_parser!(u32).range(0..=36_500))]
    pub retention_audit_days: u32,
    /// Days for which notifications are kept after their creation if they were read or resolved, others twice as long; 0: for
    /// ever
    #[arg(long, global = true, value_name = "DAYS", default_value_t = 180, value_parser = value_parser!(u32).range(0..=36_500))]
    pub retention_notifications_days: u32,
    /// Days after which an account is deleted if its e-mail address was never verified, counted from the last e-mail with a link
    /// that could verify it; 0: never
    #[arg(long, global = true, value_name = "DAYS", default_value_t = 7, value_parser = value_parser!(u32).range(0..=36_500))]
    pub retention_unverified_days: u32,
    /// Filter of log lines: a level, or directives such as info,keyward=debug
    #[arg(long, global = true, value_name = "FILTER", default_value = "info")]
    pub log: String,
    /// Format of log lines
    #[arg(long, global = true, default_value = "auto")]
    pub log_format: LogFormat,
}

impl Config {
    /// The settings of `environment`, without a command line.
    ///
    /// # Errors
    /// One line that names the unknown or invalid variable.
    pub fn from_environment(environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, String> {
        let flags = flags(environment)?;
        let matches = command().no_binary_name(true).try_get_matches_from(flags);
        matches
            .and_then(|matches| Self::from_arg_matches(&matches))
            .map_err(|error| one_line(&error))?
            .validated()
    }

    /// Checks the rules that concern several settings.
    ///
    /// # Errors
    /// One line that names the setting.
    pub fn validated(self) -> Result<Self, String> {
        if self.password_min_length > self.password_max_length {
            return Err("KEYWARD_PASSWORD_MIN_LENGTH: must not be greater than KEYWARD_PASSWORD_MAX_LENGTH".to_owned());
        }
        Ok(self)
    }

    /// The URL at which clients reach the API, including the base path, without a trailing slash.
    pub fn public_url(&self) -> BaseUrl {
        self.public_url
            .clone()
            .unwrap_or_else(|| BaseUrl(format!("http://{}{}", self.bind, self.base_path)))
    }

    /// The URL to which links in e-mails point.
    pub fn app_url(&self) -> BaseUrl {
        self.app_url.clone().unwrap_or_else(|| self.public_url())
    }

    pub fn is_enabled(&self, feature: Feature) -> bool {
        !self.features_off.contains(&feature)
    }

    pub fn rate_limits_enabled(&self) -> bool {
        self.rate_limits == Switch::On
    }
}

const PREFIX: &str = "KEYWARD_";

/// An entry of `keyward --help` and of `.env.example`.
pub struct Setting {
    pub variable: String,
    pub default: Option<String>,
    pub help: String,
}

fn command() -> clap::Command {
    Config::augment_args(
        clap::Command::new("keyward")
            .disable_help_flag(true)
            .args_override_self(true),
    )
}

pub fn settings() -> Vec<Setting> {
    let setting = |argument: &clap::Arg| {
        Some(Setting {
            variable: variable_of(argument.get_long()?),
            default: argument
                .get_default_values()
                .first()
                .map(|value| value.to_string_lossy().into_owned()),
            help: argument.get_help().map(ToString::to_string).unwrap_or_default(),
        })
    };
    command().get_arguments().filter_map(setting).collect()
}

fn variable_of(flag: &str) -> String {
    let name = flag.replace('-', "_").to_uppercase();
    if flag == "database-url" {
        name
    } else {
        format!("{PREFIX}{name}")
    }
}

/// Turns variables into flags of the command line, so that clap parses both alike. Other variables are left out, and so
/// are empty ones: `KEYWARD_SMTP_URL=` means "not set".
///
/// # Errors
/// One line that names the unknown variable.
pub fn flags(environment: impl IntoIterator<Item = (String, String)>) -> Result<Vec<String>, String> {
    let settings = settings();
    let mut flags = Vec::new();
    for (variable, value) in environment {
        if variable != "DATABASE_URL" && !variable.starts_with(PREFIX) {
            continue;
        }
        if !settings.iter().any(|setting| setting.variable == variable) {
            return Err(format!(
                "{variable}: unknown setting; `keyward --help` lists the settings"
            ));
        }
        if !value.is_empty() {
            let flag = variable.trim_start_matches(PREFIX).replace('_', "-").to_lowercase();
            flags.push(format!("--{flag}={value}"));
        }
    }
    Ok(flags)
}

/// The first line of clap's message. For an invalid setting, its variable precedes the message and the possible values
/// follow it.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let first_line = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let variable = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument
            .strip_prefix("--")
            .and_then(|rest| rest.split([' ', '=']).next())
            .map(variable_of)
            .filter(|variable| settings().iter().any(|setting| setting.variable == *variable)),
        _ => None,
    };
    let possible_values = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => {
            format!("; possible values: {}", values.join(", "))
        }
        _ => String::new(),
    };
    match variable {
        Some(variable) => {
            let reason = without_value(&variable, first_line);
            format!("{variable}: {reason}{possible_values}")
        }
        None => format!("{first_line}{possible_values}"),
    }
}

/// Removes the value from the message about a setting that contains a password.
fn without_value(variable: &str, message: &str) -> String {
    if !matches!(variable, "DATABASE_URL" | "KEYWARD_SMTP_URL") {
        return message.to_owned();
    }
    let reason = message
        .rsplit_once("': ")
        .or_else(|| message.rsplit_once(": "))
        .map_or("it cannot be parsed", |(_, reason)| reason);
    format!("invalid value: {reason}")
}

/// The variables of the process, and those of the file `.env` in the working folder that the process doesn't set.
///
/// # Errors
/// The file exists but cannot be read.
pub fn environment() -> Result<BTreeMap<String, String>, String> {
    let mut variables = BTreeMap::new();
    match dotenvy::dotenv_iter() {
        Ok(entries) => {
            for entry in entries {
                let (name, value) = entry.map_err(|error| format!(".env: {error}"))?;
                variables.insert(name, value);
            }
        }
        Err(error) if error.not_found() => {}
        Err(error) => return Err(format!(".env: {error}")),
    }
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the environment")]
    let process = std::env::vars_os();
    for (name, value) in process {
        if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) {
            variables.insert(name, value);
        }
    }
    Ok(variables)
}

/// The data folder if `KEYWARD_DATA_DIR` is not set.
pub fn default_data_dir(environment: &BTreeMap<String, String>) -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/keyward");
    }
    let xdg_data_home = environment
        .get("XDG_DATA_HOME")
        .filter(|dir| Path::new(dir).is_absolute())
        .map(PathBuf::from);
    let home = environment.get("HOME").map(|home| Path::new(home).join(".local/share"));
    xdg_data_home
        .or(home)
        .unwrap_or_else(|| PathBuf::from("."))
        .join("keyward")
}
