//! The types and parsers of single settings. Their errors never contain the value: it may be a secret in the wrong place.

use std::net::IpAddr;
use std::str::FromStr;

use clap::ValueEnum;
use ipnet::IpNet;
use lettre::message::Mailbox;
use secrecy::{ExposeSecret as _, SecretString};
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
pub struct BaseUrl(pub(super) String);

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

pub(super) fn parse_base_path(text: &str) -> Result<String, String> {
    let path = text.trim_end_matches('/');
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    if path.is_empty() || (path.starts_with('/') && !path.contains("//") && path.chars().all(is_allowed)) {
        Ok(path.to_owned())
    } else {
        Err("must be empty or start with a slash, such as /account".to_owned())
    }
}

pub(super) fn parse_key_prefix(text: &str) -> Result<String, String> {
    if (1..=12).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 12 ASCII letters and digits".to_owned())
    }
}

pub(super) fn parse_network(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "must be an IP address or a network such as 10.0.0.0/8".to_owned())
}

pub(super) fn parse_mailbox(text: &str) -> Result<Mailbox, String> {
    text.parse()
        .map_err(|_| "must be an address such as Keyward <no-reply@example.com>".to_owned())
}

pub(super) fn parse_smtp_url(text: &str) -> Result<SecretString, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "smtp" | "smtps") && url.host_str().is_some() => Ok(SecretString::from(text)),
        _ => Err("must be smtp://host:port or smtps://host:port".to_owned()),
    }
}

/// What is probably wrong with the URL of a mail server: a port for the other kind of TLS makes both sides wait for each other.
pub(super) fn smtp_url_warning(url: &SecretString) -> Option<&'static str> {
    let url = Url::parse(url.expose_secret()).ok()?;
    match (url.scheme(), url.port()) {
        ("smtp", Some(465)) => Some("port 465 expects TLS from the first byte: smtps:// is probably meant"),
        ("smtps", Some(25 | 587)) => Some("ports 25 and 587 expect STARTTLS: smtp://…?tls=required is probably meant"),
        _ => None,
    }
}

pub(super) fn parse_origin(text: &str) -> Result<String, String> {
    match Url::parse(text) {
        Ok(url) if url.origin().is_tuple() && url.origin().ascii_serialization() == text => Ok(text.to_owned()),
        _ => Err("must be an origin such as https://app.example.com".to_owned()),
    }
}
