//! The settings: their names, defaults, and texts for `keyward --help`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, value_parser};
use ipnet::IpNet;
use lettre::message::Mailbox;
use secrecy::SecretString;

use super::database_url;
use super::values::{
    BaseUrl, Feature, LogFormat, PasswordClass, Registration, Switch, parse_base_path, parse_key_prefix, parse_mailbox,
    parse_network, parse_origin, parse_smtp_url, smtp_url_warning,
};

/// The address of `/metrics` if `KEYWARD_ADMIN_BIND` is not set.
pub const DEFAULT_ADMIN_BIND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

#[derive(Clone, Debug, Args)]
pub struct Config {
    /// URL of the PostgreSQL database, such as postgres://user:password@host/database; if not set, Keyward starts a
    /// private PostgreSQL in the data folder
    #[arg(long, global = true, value_name = "URL", value_parser = database_url::parse)]
    pub database_url: Option<SecretString>,
    /// URL at which PostgreSQL itself can be reached if `DATABASE_URL` leads to a connection pooler such as `PgBouncer` in
    /// transaction mode; without it no credential is cached there
    #[arg(long, global = true, value_name = "URL", value_parser = database_url::parse)]
    pub db_listen_url: Option<SecretString>,
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
    /// How many requests that change something a user can make in 5 minutes, on each instance
    #[arg(long, global = true, value_name = "N", default_value_t = 600, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub write_limit: u32,
    /// TOML file with additional scopes of the platform
    #[arg(long, global = true, value_name = "FILE")]
    pub scopes_file: Option<PathBuf>,
    /// Prefix of API keys, before the underscore
    #[arg(long, global = true, value_name = "WORD", default_value = "kw", value_parser = parse_key_prefix)]
    pub key_prefix: String,
    /// Maximum lifetime of an API key in days, counted from its creation or from the last change of its expiry; if set, a key
    /// that is created without an expiry gets this one, otherwise it never expires and an expiry may be 3650 days away
    #[arg(long, global = true, value_name = "DAYS", value_parser = value_parser!(u32).range(1..=36_500))]
    pub key_max_lifetime_days: Option<u32>,
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
    /// Checks the rules that concern several settings.
    ///
    /// # Errors
    /// One line that names the setting.
    pub fn validated(self) -> Result<Self, String> {
        if self.password_min_length > self.password_max_length {
            return Err("KEYWARD_PASSWORD_MIN_LENGTH: must not be greater than KEYWARD_PASSWORD_MAX_LENGTH".to_owned());
        }
        if self.db_listen_url.is_some() && self.database_url.is_none() {
            return Err("KEYWARD_DB_LISTEN_URL: needs DATABASE_URL".to_owned());
        }
        Ok(self)
    }

    /// What is valid but probably not meant: one line each, with the variable.
    pub fn warnings(&self) -> Vec<String> {
        let smtp_url = self.smtp_url.as_ref().and_then(smtp_url_warning);
        smtp_url
            .map(|warning| format!("KEYWARD_SMTP_URL: {warning}"))
            .into_iter()
            .collect()
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
