//! The settings of the server, given as arguments at each start so that changes reach existing clusters.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use crate::options::Options;
use crate::socket::PORT;

/// Defaults for a small private server. The log leaves out statements and the values in error details, which can be
/// personal data.
const DEFAULTS: &[(&str, &str)] = &[
    ("max_connections", "100"),
    ("shared_buffers", "128MB"),
    ("password_encryption", "scram-sha-256"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("log_destination", "stderr"),
    ("logging_collector", "off"),
    ("log_line_prefix", "%m [%p] "),
    ("log_min_messages", "warning"),
    ("log_min_error_statement", "panic"),
    ("log_error_verbosity", "terse"),
    ("log_statement", "none"),
    ("log_min_duration_statement", "-1"),
    ("log_checkpoints", "off"),
];

/// The defaults and the application's own settings, which come last and so override the defaults.
pub(crate) fn arguments(options: &Options) -> Vec<OsString> {
    let defaults = DEFAULTS.iter().copied();
    let own = options
        .settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    as_arguments(defaults.chain(own))
}

/// The settings that make the server reachable by one socket only, and by its own user only.
pub(crate) fn socket_arguments(dir: &Path) -> Vec<OsString> {
    let port = PORT.to_string();
    let mut arguments = as_arguments([
        ("port", port.as_str()),
        ("listen_addresses", ""),
        ("unix_socket_permissions", "0700"),
    ]);
    arguments.extend([OsString::from("-c"), socket_directories(dir)]);
    arguments
}

fn as_arguments<'a>(settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<OsString> {
    settings
        .into_iter()
        .flat_map(|(name, value)| [OsString::from("-c"), OsString::from(format!("{name}={value}"))])
        .collect()
}

/// The value is a list separated by commas. In quotes, with inner quotes doubled, any path is a single item.
fn socket_directories(dir: &Path) -> OsString {
    let mut setting = b"unix_socket_directories=\"".to_vec();
    for byte in dir.as_os_str().as_bytes() {
        setting.extend(std::iter::repeat_n(*byte, if *byte == b'"' { 2 } else { 1 }));
    }
    setting.push(b'"');
    OsString::from_vec(setting)
}
