//! Where settings come from: the environment, the file `.env`, and how both become flags of the command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use clap::{Args as _, FromArgMatches as _};

use super::settings::Config;
use super::{dotenv, kubernetes};

const PREFIX: &str = "KEYWARD_";

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
}

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
/// are those of a Kubernetes Service, and empty ones: `KEYWARD_SMTP_URL=` means "not set".
///
/// # Errors
/// One line that names the unknown variable.
pub fn flags(environment: impl IntoIterator<Item = (String, String)>) -> Result<Vec<String>, String> {
    let settings = settings();
    let mut flags = Vec::new();
    for (variable, value) in environment {
        if !is_ours(&variable) {
            continue;
        }
        if !settings.iter().any(|setting| setting.variable == variable) {
            if kubernetes::is_service_variable(&variable, &value) {
                continue;
            }
            return Err(format!(
                "{variable}: unknown setting; `keyward --help` lists the settings"
            ));
        }
        if value.len() >= 2
            && ['"', '\'']
                .iter()
                .any(|quote| value.starts_with(*quote) && value.ends_with(*quote))
        {
            return Err(format!(
                "{variable}: the value is in quotes; remove them (a shell does that, docker's --env-file does not)"
            ));
        }
        if !value.is_empty() {
            let flag = variable.trim_start_matches(PREFIX).replace('_', "-").to_lowercase();
            flags.push(format!("--{flag}={value}"));
        }
    }
    Ok(flags)
}

fn is_ours(variable: &str) -> bool {
    variable == "DATABASE_URL" || variable.starts_with(PREFIX)
}

/// One line about an invalid setting or argument. For a setting it has the variable, the reason and the possible values, but
/// not the value: it may be a secret in the wrong place.
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
    let Some(variable) = variable else {
        return format!("{first_line}{possible_values}");
    };
    let reason = std::error::Error::source(error).map(|reason| reason.to_string().replace('\n', " "));
    let reason = match (reason, error.get(ContextKind::InvalidValue)) {
        (Some(reason), Some(ContextValue::String(value))) if !value.is_empty() && reason.contains(value.as_str()) => {
            format!(": {}", reason.replace(value.as_str(), "the value"))
        }
        (Some(reason), _) => format!(": {reason}"),
        (None, _) => String::new(),
    };
    format!("{variable}: invalid value{reason}{possible_values}")
}

/// The variables of the process, and those of the file `.env` in the working folder that the process doesn't set.
///
/// # Errors
/// One line that names the file or the variable that cannot be read.
pub fn environment() -> Result<BTreeMap<String, String>, String> {
    let mut variables = dotenv::read(Path::new(".env"))?;
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the environment")]
    let process = std::env::vars_os();
    for (name, value) in process {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => drop(variables.insert(name, value)),
            Err(_) if is_ours(&name) => return Err(format!("{name}: the value is not UTF-8")),
            Err(_) => {}
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
