//! The connection URL for libpq.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

/// Builds the URL of the database `name` for the role `name`. The host is the percent-encoded path of the socket
/// directory.
pub(crate) fn build(socket_dir: &Path, port: u16, name: &str, password: &SecretString) -> SecretString {
    let mut url = format!("postgresql://{name}:{}@", password.expose_secret());
    for byte in socket_dir.as_os_str().as_bytes() {
        // The unreserved characters of RFC 3986, section 2.3. Writing to a string does not fail.
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            url.push(char::from(*byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    let _ = write!(url, ":{port}/{name}");
    SecretString::from(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_directory_is_percent_encoded() {
        let url = build(Path::new("/my data/50%"), 5432, "app", &SecretString::from("secret"));
        assert_eq!(
            url.expose_secret(),
            "postgresql://app:secret@%2Fmy%20data%2F50%25:5432/app"
        );
    }
}
