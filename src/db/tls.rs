//! `sslrootcert=system` in the URL of the database: libpq 16 and newer verify the server by the certificates of the system.
//! For an older one it is the name of a file; without that file and `sslmode=verify-full` the server is not verified at all.

use std::path::Path;

use diesel::Connection as _;
use diesel::pg::PgConnection;

const SYSTEM: &str = "sslrootcert=system";

/// libpq 16 refuses this combination before it looks for the server; an older one finds no server there.
const PROBE: &str = "host=/nonexistent sslrootcert=system sslmode=disable";
const REFUSAL: &str = "weak sslmode";

/// # Errors
/// One line if `url` asks for the certificates of the system and the installed libpq does not know them.
pub fn check_root_certificates(url: &str) -> Result<(), &'static str> {
    let asks_for_system = url
        .split(['?', '&', ' '])
        .any(|option| option.replace('\'', "") == SYSTEM);
    if !asks_for_system || Path::new("system").exists() || knows_system_certificates() {
        return Ok(());
    }
    Err(
        "sslrootcert=system needs libpq 16 or newer, and the installed one is older; name a file of certificates, such as \
         sslrootcert=/etc/ssl/certs/ca-certificates.crt&sslmode=verify-full",
    )
}

fn knows_system_certificates() -> bool {
    PgConnection::establish(PROBE).is_err_and(|error| error.to_string().contains(REFUSAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_url_that_asks_for_the_certificates_of_the_system_needs_a_new_libpq() {
        for url in [
            "postgres://host/database",
            "postgres://host/database?sslrootcert=/etc/system.crt",
            "host=localhost sslrootcert=systematic",
        ] {
            assert_eq!(check_root_certificates(url), Ok(()), "{url}");
        }
        for url in [
            "postgres://host/database?sslmode=verify-full&sslrootcert=system",
            "host=localhost sslrootcert='system' dbname=x",
        ] {
            assert_eq!(
                check_root_certificates(url).is_ok(),
                knows_system_certificates(),
                "{url}"
            );
        }
    }
}
